import numpy as np
import pytest
import torch

from exactness import several_inputs
from pslgs.simulation.api import simulate
from pslgs.simulation.federated import FederatedTraining
from pslgs.simulation.setup import Part, SimulationOptions, build_simulation_setup
from pslgs.spec import InputError, parse_job
from pslgs.spec.profiles import ClientProfile
from pslgs.spec.training import Baseline
from simulation.jobs import document, job


def without_dropout(**spec):
    changed = document(**spec)
    del changed["spec"]["model"]["options"]["dropout"]
    return parse_job(changed)


def federated(tmp_path, members: list[str] | None = None):
    """Train one round over some of the clients; return the tensors and how many samples there were."""
    cast = build_simulation_setup(without_dropout(epochs=1).spec, None, tmp_path, evaluated=False)
    chosen = {
        name: client.training for name, client in cast.clients.items() if members is None or name in members
    }
    list(FederatedTraining(cast.task, cast.network, chosen, 64).rounds())
    tensors = {name: tensor.detach().clone() for name, tensor in cast.network.named_tensors().items()}
    return tensors, sum(data.samples for data in chosen.values())


def test_federated_averaging_weighs_each_clients_weights_by_its_samples(tmp_path):
    averaged, pooled = federated(tmp_path)
    alone = [federated(tmp_path, [f"client-{i}"]) for i in range(8)]
    assert sum(samples for _, samples in alone) == pooled
    for name, tensor in averaged.items():
        expected = sum(tensors[name] * (samples / pooled) for tensors, samples in alone)
        torch.testing.assert_close(tensor, expected)


def test_federated_averaging_of_one_client_is_plain_training(tmp_path):
    """Each round begins with a new optimizer, so without momentum nothing tells it from Centralized."""
    plain = {"optimizer": {"name": "SGD", "learningRate": 0.1, "momentum": 0.0}, "epochs": 3}
    one = without_dropout(
        **plain, data=document()["spec"]["data"] | {"partition": {"scheme": "IID", "clients": 1}}
    )
    federated_result, centralized = (
        simulate(one, strategy=name) for name in ("FederatedAveraging", "Centralized")
    )
    assert federated_result.accuracy == pytest.approx(centralized.accuracy, abs=0.01)
    for name, tensor in federated_result.model.items():
        torch.testing.assert_close(tensor, centralized.model[name], rtol=1e-4, atol=1e-5)


def test_federated_averaging_passes_several_inputs_by_name_and_tokens_as_integers():
    spec = several_inputs.job_spec(optimizer={"name": "SGD", "learningRate": 0.1, "momentum": 0.0}, epochs=2)
    one = spec.data.model_copy(update={"partition": spec.data.partition.model_copy(update={"clients": 1})})
    clinic = job().model_copy(update={"spec": spec.model_copy(update={"data": one})})
    averaged, plain = (simulate(clinic, strategy=name) for name in ("FederatedAveraging", "Centralized"))
    for name, tensor in averaged.model.items():
        torch.testing.assert_close(tensor, plain.model[name], msg=name)


@pytest.mark.slow
def test_federated_averaging_learns_and_tells_its_rounds():
    sampling = {"globalBatchSize": 16}
    result = simulate(job(epochs=12, sampling=sampling), strategy="FederatedAveraging", partition="iid")
    assert result.steps.epoch.tolist() == list(range(1, 13))
    assert result.steps.loss[-1] < 0.7 * result.steps.loss[0]
    assert result.accuracy > 0.6
    assert result.steps.bytes_up[0] == result.steps.bytes_down[0] == 8 * 4 * 2_778


def test_a_round_of_federated_averaging_waits_for_the_client_that_takes_longest():
    """By hand: the network down and up, and N_k samples through all of it instead of the client part."""
    changed = job(epochs=1)
    link = ClientProfile(samples_per_second=500.0, uplink=8e4, downlink=16e4, latency=0.25)
    options = SimulationOptions(profile=[Part(link, 1.0)])
    result = simulate(changed, strategy="FederatedAveraging", partition="severe", options=options)
    client, server = 64 * 32, 32 * 16 + 16 * 10
    computing = max(result.dataset_sizes.values()) / 500 * (client + server) / client
    network = 4 * 2_778
    assert result.steps.modelled_seconds.tolist() == pytest.approx(
        [2 * 0.25 + 8 * network / 16e4 + computing + 8 * network / 8e4]
    )


def test_centralized_is_global_sampling_of_one_client_with_all_data():
    result = simulate(job(), strategy="Centralized")
    assert (result.clients, result.samples) == (1, 1_437)
    assert set(result.steps.active_clients) == {1}


def test_sequential_split_learning_asks_one_client_at_a_time():
    steps = simulate(job(), strategy="SequentialSplit", partition="severe").steps
    assert set(steps.active_clients) == {1}
    assert steps.deviation.mean() > 1.2


@pytest.mark.parametrize("strategy", Baseline, ids=str)
def test_a_manifest_cannot_name_a_baseline(strategy):
    with pytest.raises(InputError, match=r"spec.sampling.strategy: is '\w+', must be one of Global"):
        job(sampling={"strategy": strategy.value})


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("optimizer.accumulate", {"optimizer": {"accumulate": 2}}),
        ("ema.decay", {"ema": {"decay": 0.9}}),
        ("precision", {"precision": {"server": "BFloat16"}}),
    ],
    ids=["accumulation", "average", "precision"],
)
def test_federated_averaging_refuses_options_that_it_does_not_have(field, spec):
    with pytest.raises(
        InputError, match=rf"^spec\.{field}: does not apply to the strategy FederatedAveraging"
    ):
        simulate(job(**spec), strategy="FederatedAveraging")


def test_federated_averaging_has_no_schedule_to_look_at():
    with pytest.raises(InputError, match="has no schedule"):
        simulate(job(), strategy="FederatedAveraging", schedule_only=True)


def test_centralized_combines_the_data_of_clients_that_have_their_own(tmp_path):
    """Each sample is trained once in an epoch, and evaluated, as if one client had the files of all."""
    rng = np.random.default_rng(0)
    for site, samples in (("mitte", 30), ("nord", 50), ("all", 80)):
        (tmp_path / site).mkdir()
        x, y = rng.normal(size=(samples, 64)).astype(np.float32), rng.integers(0, 10, samples)
        np.savez(tmp_path / site / "data.npz", x=x, y=y)
    parts = [np.load(tmp_path / site / "data.npz") for site in ("mitte", "nord")]
    np.savez(
        tmp_path / "all/data.npz", **{key: np.concatenate([each[key] for each in parts]) for key in "xy"}
    )
    source = {"format": "NumPy", "path": str(tmp_path / "{client}/data.npz")}
    own = job(data={"train": source, "evaluation": source | {"at": "Clients"}, "standardize": "PerFeature"})
    pooled, one = (
        simulate(own, strategy="Centralized", options=SimulationOptions(client_ids=names))
        for names in (["mitte", "nord"], ["all"])
    )
    assert pooled.dataset_sizes == {"client-0": 80}
    assert pooled.evaluations[-1].samples == 80
    assert pooled.label_counts.tolist() == one.label_counts.tolist()
    for name, tensor in pooled.model.items():
        torch.testing.assert_close(tensor, one.model[name])
