import pytest
import torch

from exactness.job import CLIENTS, assert_equal_states, centralized, job_spec
from pslgs.coordination import messages
from pslgs.coordination.settings import settings_from
from pslgs.data.loading import open_all_training_data
from pslgs.simulation.setup import VirtualClient
from pslgs.training.setup import build_setup
from training.in_process import InProcessTraining


@pytest.fixture
def datasets(tmp_path):
    spec = job_spec("SGD")
    opened = open_all_training_data(spec.data, CLIENTS, seed=spec.sampling.seed, cache=tmp_path)
    return dict(zip(CLIENTS, opened, strict=True))


def test_the_partition_has_a_client_without_samples_and_one_with_a_single_one(datasets):
    held = sorted(dataset.samples for dataset in datasets.values())
    assert held[:2] == [0, 1]
    assert sum(held) == 60


@pytest.mark.parametrize(
    "cut_layer",
    ["stem", "block.first", *(pytest.param(name, marks=pytest.mark.slow) for name in ("block", "pool"))],
    ids=str,
)
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"], ids=str)
def test_twenty_steps_equal_a_centralized_loop_over_the_same_batches(datasets, optimizer, cut_layer):
    spec = job_spec(optimizer, cut_layer=cut_layer)
    task, network = build_setup(spec, (1, 8, 8))
    clients = {name: VirtualClient(dataset) for name, dataset in datasets.items()}
    batches = []

    def note(effect: messages.Effect) -> None:
        if isinstance(effect, messages.ApplyUpdate):
            local_batches = {
                local_batch.client: (local_batch.offset, local_batch.samples)
                for local_batch in effect.local_batches
            }
            batches.append((effect.epoch, local_batches))

    training = InProcessTraining(task, network, settings_from(spec, len(CLIENTS)), clients)
    training.run(note)

    assert len(batches) == 20
    tensors, optimizer_state, losses = centralized(spec, datasets, batches)
    assert training.losses == pytest.approx(losses, rel=1e-10)
    for name, tensor in network.named_tensors().items():
        torch.testing.assert_close(tensor.detach(), tensors[name], rtol=1e-10, atol=1e-10, msg=name)
    assert_equal_states(training.server.optimizer, optimizer_state)
