"""Trainings of the small job in this process."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from exactness.plain_loop import Batches, Datasets
from exactness.small_job import CLIENTS
from pslgs.coordination import messages
from pslgs.coordination.settings import settings_from
from pslgs.coordination.state import CoordinatorState
from pslgs.data.loading import open_all_training_data, open_evaluation_data
from pslgs.data.standardization import scale_over
from pslgs.server import run_checkpoint
from pslgs.simulation.setup import VirtualClient
from pslgs.spec import JobSpec
from pslgs.splitting.initial_weights import load_initial_weights
from pslgs.training.checkpoint import CheckpointStore
from pslgs.training.setup import build_setup
from training.in_process import InProcessTraining


class Trained(NamedTuple):
    """What a training gives."""

    tensors: dict[str, Tensor]
    losses: list[float]
    batches: Batches
    evaluations: list[float]


def datasets_of(spec: JobSpec, cache: Path, *, standardized: bool = True) -> Datasets:
    """Open the data of the job, standardised if the job says so, or else as they are stored."""
    opened = open_all_training_data(spec.data, CLIENTS, seed=spec.sampling.seed, cache=cache)
    evaluation = open_evaluation_data(spec.data, cache=cache)
    scale = scale_over(spec.data, opened)
    for each in (*opened, evaluation):
        if scale is not None and standardized:
            each.standardize(scale)
    return Datasets(dict(zip(CLIENTS, opened, strict=True)), evaluation)


def train(spec: JobSpec, datasets: Datasets, store: CheckpointStore | None = None) -> Trained:
    """Train the job to its end, from the checkpoint in ``store``, or write the first one there."""
    task, network = build_setup(spec, datasets.evaluation.input_shape)
    if spec.model.initial_weights is not None:
        load_initial_weights(network, spec.model.initial_weights)
    clients = {name: VirtualClient(data) for name, data in datasets.training.items()}
    settings, kept = settings_from(spec, len(CLIENTS)), store and run_checkpoint.load(store)
    state = kept and CoordinatorState.from_json(kept.state["coordinator"])
    training = InProcessTraining(task, network, settings, clients, state, evaluation=datasets.evaluation)
    if store and kept:
        run_checkpoint.restore(store, kept, spec, training.server, task.objective.classes)
    batches: list[tuple[int, dict[str, tuple[int, int]]]] = []

    def note(effect: messages.Effect) -> None:
        match effect:
            case messages.ApplyUpdate():
                taken = {each.client: (each.offset, each.samples) for each in effect.local_batches}
                batches.append((effect.epoch, taken))
            case messages.SaveCheckpoint(step) if store and run_checkpoint.load(store) is None:
                rest = run_checkpoint.snapshot(training.coordinator.state(0.0), {}, spec, {})
                run_checkpoint.save(store, step, training.server, rest)

    training.run(note)
    tensors = training.server.named_tensors()
    return Trained(
        {name: each.detach().clone() for name, each in tensors.items()},
        training.losses,
        batches,
        training.evaluations,
    )
