"""Everything that a simulated job consists of: the task, its clients and their data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pslgs.data.local import LocalDataset
from pslgs.data.opening import (
    EVALUATION,
    TRAINING,
    open_all_evaluation_data,
    open_all_training_data,
    open_evaluation_data,
)
from pslgs.sampling.partition import share_names
from pslgs.simulation.learning import VirtualClient
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.training.fitness import check_dataset
from pslgs.training.task import Task, build_task


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """Who takes part, and in what.

    Attributes:
        task: What is trained.
        clients: By name, in order of the names.
        evaluation: The server's evaluation samples; None where it has none.
    """

    task: Task
    clients: dict[str, VirtualClient]
    evaluation: LocalDataset | None

    @property
    def dataset_sizes(self) -> dict[str, int]:
        """Client -> training samples."""
        return {name: client.training.samples for name, client in self.clients.items()}

    def classes(self) -> dict[str, NDArray[np.int64]]:
        """Return client -> the class of each training sample, as a number; zeros if there are no classes."""
        objective = self.task.objective
        labels = {name: torch.from_numpy(client.training.labels) for name, client in self.clients.items()}
        if objective.classes is None:
            return {name: np.zeros(len(each), dtype=np.int64) for name, each in labels.items()}
        return {
            name: objective.class_numbers(objective.as_labels(each)).numpy() for name, each in labels.items()
        }

    def label_counts(self) -> NDArray[np.int64] | None:
        """Return each client's samples of each class, (clients, classes); None where there are no classes."""
        classes = self.task.objective.classes
        if classes is None:
            return None
        return np.array([np.bincount(each, minlength=classes) for each in self.classes().values()])


def assemble(spec: JobSpec, client_ids: Sequence[str] | None, cache: Path, *, evaluated: bool) -> Cast:
    """Open all data and build the network.

    Args:
        spec: The job.
        client_ids: The clients whose data the manifest's paths lead to; None where it has a partition.
        cache: Folder for converted datasets.
        evaluated: Whether the evaluation data are needed.

    Raises:
        InputError: the data or the model cannot be used, or do not fit each other.
    """
    names = _names(spec, client_ids)
    training = open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=cache)
    pooled = sum(data.samples for data in training)
    if spec.sampling.global_batch_size > pooled:
        raise InputError.at(
            "spec.sampling.globalBatchSize",
            f"is {spec.sampling.global_batch_size}, but the clients hold only {pooled} samples; "
            "make it smaller",
        )
    task = build_task(spec, spec.model.input_shape or training[0].input_shape)
    for data in training:
        check_dataset(task, data, TRAINING)
    at = spec.data.evaluation.at if spec.data.evaluation and evaluated else None
    own: list[LocalDataset] | list[None] = [None] * len(names)
    if at is EvaluationPlace.CLIENTS:
        own = open_all_evaluation_data(spec.data, names, seed=spec.sampling.seed, cache=cache)
    servers = open_evaluation_data(spec.data, cache=cache) if at is EvaluationPlace.SERVER else None
    for each in (*own, servers):
        if each is not None:
            check_dataset(task, each, EVALUATION)
    clients = {
        name: VirtualClient(samples, evaluation)
        for name, samples, evaluation in zip(names, training, own, strict=True)
    }
    return Cast(task, clients, servers)


def _names(spec: JobSpec, client_ids: Sequence[str] | None) -> list[str]:
    if spec.data.partition is not None:
        return share_names(spec.data.partition.clients)
    if client_ids is None:
        raise InputError.at(
            "spec.data.partition",
            "is missing; deal a common dataset out (--clients, --partition), or name the clients",
        )
    return sorted(client_ids)
