"""What a plan recommends and what it warns of."""

import pytest

from costs.conftest import Planned
from pslgs.costs.time_model import Link
from pslgs.spec import InputError


def cnn(cut_layer: str) -> dict:
    return {"architecture": "cnn", "cutLayer": cut_layer, "inputShape": [3, 32, 32]}


FAST = {"link": Link.symmetric(1e10, 0.0001), "client_flops": 50e9, "server_flops": 5e12}
SLOW = FAST | {"link": Link.symmetric(1e6, 0.0001)}


@pytest.mark.slow
def test_the_cut_moves_when_the_link_becomes_slow(planned: Planned) -> None:
    fast, slow = planned(FAST, model=cnn("conv3")), planned(SLOW, model=cnn("conv3"))
    assert (fast.recommendation.layer, slow.recommendation.layer) == ("conv1", "conv2")
    assert min(fast.cuts, key=lambda cut: cut.step.total).layer == "conv1"
    assert min(slow.cuts, key=lambda cut: cut.step.total).layer == "conv2"


@pytest.mark.slow
def test_the_reason_names_both_cuts_with_their_figures(planned: Planned) -> None:
    reason = planned(FAST, model=cnn("conv3")).recommendation.reason
    assert reason.startswith("cut after conv1. A step takes ")
    assert "a sample crosses as 32.8 kB, 2.7 times the input" in reason
    assert "The job's own, conv3, takes " in reason
    assert "smashed data of an earlier layer reveal more of the samples" in reason


@pytest.mark.slow
def test_a_cut_that_is_best_is_kept_and_compared_with_the_next(planned: Planned) -> None:
    plan = planned(SLOW, model=cnn("conv2"))
    assert plan.recommendation.layer == plan.cut_layer == "conv2"
    assert plan.recommendation.reason.startswith("keep the cut after conv2. A step takes ")
    assert "The best of the others, " in plan.recommendation.reason


@pytest.mark.slow
def test_a_cut_that_does_not_fit_is_not_recommended(planned: Planned) -> None:
    roomy = planned(SLOW, model=cnn("conv2"))
    smallest = min(roomy.cuts, key=lambda cut: cut.client_bytes)
    tight = planned(SLOW | {"client_memory": smallest.client_bytes}, model=cnn("conv2"))
    assert tight.recommendation.layer == smallest.layer
    assert "at a client, too much" in tight.recommendation.reason
    assert "cuts do not fit into a client's memory" in tight.recommendation.reason
    nothing = planned(SLOW | {"client_memory": smallest.client_bytes - 1}, model=cnn("conv2"))
    assert nothing.recommendation.layer == smallest.layer
    assert nothing.recommendation.reason.startswith("no cut fits into ")


def test_a_sound_job_gets_no_advice(planned: Planned) -> None:
    assert planned().advice == ()


SKEWED = {"dataset_sizes": (4000, *(100,) * 7)}
CROWD = {"dataset_sizes": (20,), "clients": 200}

ADVICE = {
    "batch smaller than classes": (
        {},
        {"sampling": {"globalBatchSize": 8}},
        "spec.sampling.globalBatchSize: is 8, so that no batch can hold all 10 classes",
    ),
    "batch larger than the data": (
        {"dataset_sizes": (10,)},
        {},
        "spec.sampling.globalBatchSize: is 128, but the clients hold only 80 samples",
    ),
    "more clients than samples in a batch": (
        CROWD,
        {},
        "spec.sampling.globalBatchSize: is 128 for 200 clients: at most 128 of the 200 clients are active",
    ),
    "and each has to contribute": (
        CROWD,
        {"sampling": {"strategy": "FixedLocal"}},
        "each contributes at least one sample, so that batches begin with at least 200.",
    ),
    "and each has to contribute in proportion": (
        CROWD,
        {"sampling": {"strategy": "FixedProportionalLocal"}},
        "each contributes at least one sample, so that batches begin with at least 200.",
    ),
    "clients without samples": (
        {"dataset_sizes": (0, 0, *(1000,) * 6)},
        {},
        "spec.data.train: gives 2 clients no samples, so that these can never be active",
    ),
    "clients with few samples": (
        {"dataset_sizes": (5, *(1000,) * 7)},
        {},
        "spec.data.train: gives 1 client fewer samples than one step's equal share, 16;",
    ),
    "an epoch that ends in small batches": (
        SKEWED,
        {"sampling": {"strategy": "FixedLocal"}},
        "is FixedLocal: clients run dry one after another, and 98 % of an epoch's 250 steps have fewer",
    ),
    "delays that count": (
        {},
        {"sampling": {"strategy": "LatentDirichlet", "latentDirichlet": {"delayWeight": 0.5}}},
        "spec.sampling.latentDirichlet.delayWeight: is above 0",
    ),
    "large smashed data": (
        {},
        {"model": {"architecture": "mlp", "options": {"inputs": 4, "hidden": [32, 16], "outputs": 10},
                   "cutLayer": "hidden1"}},
        "spec.model.cutLayer: makes 128 B of smashed data of a sample, 8 times the input",
    ),
    "a slow link": (
        {"link": Link.symmetric(1e5, 0.001)},
        {},
        "spec.transport.compression: is None: a step takes ",
    ),
    "a far link": (
        {"link": Link.symmetric(1e12, 0.5)},
        {},
        "spec.sampling.globalBatchSize: is 128: a step takes 2 s, 2 s of it latency, which no compression",
    ),
    "an answer that takes too long": (
        {"link": Link.symmetric(1e3, 0.001)},
        {},
        "spec.faultTolerance.clientTimeoutSeconds: is 30, but an answer takes some ",
    ),
    "little memory": (
        {"client_memory": 100_000_000},
        {},
        "spec.model.cutLayer: asks for some 5",
    ),
    "a quorum above the clients": (
        {},
        {"faultTolerance": {"minAvailableClients": 9}},
        "spec.faultTolerance.minAvailableClients: is 9, but there are 8 clients",
    ),
    "a deadline that is too early": (
        {},
        {"epochs": 1000, "activeDeadlineSeconds": 60},
        "spec.activeDeadlineSeconds: is 60, but 1000 epochs take some ",
    ),
    "a training of days": (
        {},
        {"epochs": 1_000_000},
        "spec.epochs: is 1000000, which takes some ",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("outlook", "spec", "words"), ADVICE.values(), ids=ADVICE.keys())
def test_advice_is_given(planned: Planned, outlook, spec, words) -> None:
    given = [f"{advice.path}: {advice.text}" for advice in planned(outlook, **spec).advice]
    assert [each for each in given if words in each], given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outlook", "spec"),
    [
        ({}, {"sampling": {"globalBatchSize": 10}}),
        ({"dataset_sizes": (20,), "clients": 128}, {}),
        ({"dataset_sizes": (16,) * 8}, {}),
        ({}, {"sampling": {"strategy": "FixedLocal"}}),
        ({}, {"sampling": {"strategy": "LatentDirichlet"}}),
        ({"client_memory": 2 << 30}, {}),
        ({}, {"faultTolerance": {"minAvailableClients": "100%"}}),
        ({}, {"epochs": 10, "activeDeadlineSeconds": 86_400}),
    ],
    ids=[
        "a sample for each class",
        "a sample for each client",
        "samples for one step",
        "fixed batches of equal clients",
        "equal delays",
        "enough memory",
        "a quorum of all clients",
        "a deadline that is late enough",
    ],
)
def test_advice_is_not_given_at_the_edge(planned: Planned, outlook, spec) -> None:
    assert [
        str(advice) for advice in planned(outlook, **spec).advice if "compression" not in advice.path
    ] == []


def test_compression_is_compared_where_the_wire_dominates(planned: Planned) -> None:
    plan = planned({"link": Link.symmetric(1e6, 0.001)})
    times = plan.step_seconds_by_compression
    assert list(times) == ["None", "Float16", "BFloat16", "Int8"]
    assert times["None"] == pytest.approx(plan.own_cut.step.total)
    assert times["Int8"] < times["Float16"] < times["None"]


SHARED = {
    "data": {
        "train": {"format": "NumPy", "path": "/nowhere.npz"},
        "partition": {"scheme": "IID", "clients": 3},
    }
}


@pytest.mark.parametrize(
    ("outlook", "spec", "path"),
    [
        ({}, {"model": cnn("conv9")}, "spec.model.cutLayer"),
        ({}, {"model": {"architecture": "cnn", "cutLayer": "conv1"}}, "spec.model.inputShape"),
        ({"dataset_sizes": (), "clients": None}, {}, "spec.data.train"),
        ({"dataset_sizes": (1, 2, 3)}, {}, "--dataset-sizes"),
        ({"dataset_sizes": (0,)}, {}, "--dataset-sizes"),
        ({"dataset_sizes": (5, 5)}, SHARED, "--dataset-sizes"),
    ],
    ids=["no such layer", "no shape", "no clients", "other clients", "no samples", "other shares"],
)
def test_what_cannot_be_planned_is_said_with_its_field(planned: Planned, outlook, spec, path) -> None:
    with pytest.raises(InputError) as refused:
        planned(outlook, **spec)
    assert [each.path for each in refused.value.violations] == [path]


SGD = {"name": "SGD", "momentum": 0.9}
ELEMENTS = 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10  # of the small network


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "copies"),
    [
        pytest.param({"optimizer": SGD | {"momentum": 0}}, -1, id="no momentum"),
        pytest.param({"optimizer": {"name": "Adam"}}, 1, id="two moments"),
        pytest.param({"optimizer": {"name": "RMSprop", "momentum": 0}}, 0, id="mean square"),
        pytest.param({"optimizer": {"name": "RMSprop", "momentum": 0.9}}, 1, id="mean square and momentum"),
        pytest.param({"optimizer": SGD, "ema": {"decay": 0.99}}, 1, id="averages"),
        pytest.param({"optimizer": SGD | {"accumulate": 2}}, 1, id="accumulation"),
        pytest.param({"optimizer": SGD | {"accumulate": 2}, "ema": {"decay": 0.99}}, 2, id="both"),
    ],
)
def test_copies_of_the_model_are_in_the_memory_of_the_server(
    spec: dict, copies: int, planned: Planned
) -> None:
    plain, other = planned(optimizer=SGD).own_cut, planned(**spec).own_cut
    assert other.server_bytes - plain.server_bytes == copies * 4 * ELEMENTS


@pytest.mark.slow
def test_a_larger_global_batch_is_in_the_memory_of_the_server(planned: Planned) -> None:
    small, large = (planned(sampling={"globalBatchSize": size}).own_cut for size in (80, 160))
    of_sample = 2 * small.smashed_bytes + 4 * (32 + 16)
    assert large.server_bytes - small.server_bytes == 80 * of_sample


@pytest.mark.slow
def test_several_gpus_divide_activations_and_time_of_the_server_part(planned: Planned) -> None:
    one, four = (planned(sampling={"globalBatchSize": 80}, server={"gpus": gpus}) for gpus in (1, 4))
    assert four.own_cut.step.server == pytest.approx(one.own_cut.step.server / 4)
    assert one.own_cut.server_bytes - four.own_cut.server_bytes == 60 * 4 * (32 + 16)
    assert (one.server_gpus, four.server_gpus, four.advice) == (1, 4, ())


def test_a_global_batch_with_fewer_samples_than_gpus_is_pointed_out(planned: Planned) -> None:
    few, one = (planned(sampling={"globalBatchSize": 10}, server={"gpus": gpus}) for gpus in (16, 1))
    [advice] = [each for each in few.advice if each.path == "spec.server.gpus"]
    assert advice.text.startswith("is 16, but a global batch has 10 samples")
    assert few.own_cut.step == one.own_cut.step
