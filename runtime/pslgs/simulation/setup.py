"""What a simulation consists of: the job and its options, the network, the clients and their data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from pslgs.coordination.feature_moments import FeatureScale
from pslgs.costs.time_model import SERVER_SAMPLES_PER_SECOND
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import (
    EVALUATION,
    TRAINING,
    open_all_evaluation_data,
    open_all_training_data,
    open_evaluation_data,
)
from pslgs.data.standardization import scale_over
from pslgs.process.machine import DATASET_CACHE
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.sampling.partition import share_names
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.strategy import Strategy
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec, SplitTrainingJob
from pslgs.spec.manifest import read_document
from pslgs.spec.profiles import PROFILES, ClientProfile
from pslgs.spec.violations import nearest, violations_of
from pslgs.splitting.initial_weights import LoadedWeights, load_initial_weights
from pslgs.splitting.split_network import SplitNetwork
from pslgs.telemetry.records import Record
from pslgs.training.dataset_check import check_dataset
from pslgs.training.setup import TrainingSetup, build_setup


@dataclass(frozen=True, slots=True, eq=False)
class VirtualClient:
    """The data of a client that exists only in a simulation.

    Attributes:
        training: Training samples.
        evaluation: Evaluation samples; None if it has none.
    """

    training: ClientDataset
    evaluation: ClientDataset | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SimulationSetup:
    """The training, its clients and their data.

    Attributes:
        task: The definition of the training.
        network: The network; trained in place.
        clients: Name -> client, in order of the names.
        evaluation: Evaluation samples of the server; None if it has none.
        initial_weights: What was loaded into the network; None for random weights.
        scale: Scale of the inputs; None if they are not standardised.
    """

    task: TrainingSetup
    network: SplitNetwork
    clients: dict[str, VirtualClient]
    evaluation: ClientDataset | None
    initial_weights: LoadedWeights | None = None
    scale: FeatureScale | None = None

    @property
    def dataset_sizes(self) -> dict[str, int]:
        """Client -> number of training samples."""
        return {name: client.training.samples for name, client in self.clients.items()}

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Name of each class; None where they are unknown."""
        named = (client.training.class_names for client in self.clients.values())
        return next((names for names in named if names), None)

    def classes(self) -> dict[str, NDArray[np.int64]]:
        """Return client -> class of each training sample, as numbers; zeros without classes."""
        objective = self.task.objective
        labels = {name: torch.from_numpy(client.training.labels) for name, client in self.clients.items()}
        if objective.classes is None:
            return {name: np.zeros(len(each), dtype=np.int64) for name, each in labels.items()}
        return {
            name: objective.class_numbers(objective.as_labels(each)).numpy() for name, each in labels.items()
        }

    def label_counts(self) -> NDArray[np.int64] | None:
        """Return each client's samples of each class; shape (clients, classes).  None without classes."""
        classes = self.task.objective.classes
        if classes is None:
            return None
        return np.array([np.bincount(each, minlength=classes) for each in self.classes().values()])


def build_simulation_setup(
    spec: JobSpec, client_ids: Sequence[str] | None, cache: Path, *, evaluated: bool, pooled: bool = False
) -> SimulationSetup:
    """Open all data and build the network.

    Args:
        spec: The job.
        client_ids: Names of the clients; None if the job has a partition, which names them.
        cache: Folder for converted datasets.
        evaluated: Whether to open the evaluation data.
        pooled: Whether a single client holds the data of all of them.

    Raises:
        InputError: the data or the model cannot be used, or do not fit each other.
    """
    names = _names(spec, client_ids)
    training = open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=cache)
    samples = sum(data.samples for data in training)
    too_large = batch_size_violation(spec.sampling.global_batch_size, samples)
    if too_large is not None:
        raise InputError(too_large)
    task, network = build_setup(spec, training[0].input_shape)
    weights = spec.model.initial_weights
    loaded = load_initial_weights(network, weights) if weights is not None else None
    for data in training:
        check_dataset(task, data, TRAINING)
    at = spec.data.evaluation.at if spec.data.evaluation and evaluated else None
    class_names = training[0].class_names or ()
    own: list[ClientDataset | None] = [None] * len(names)
    if at is EvaluationPlace.CLIENTS:
        own = [
            *open_all_evaluation_data(
                spec.data, names, seed=spec.sampling.seed, cache=cache, class_names=class_names
            )
        ]
    servers = None
    if at is EvaluationPlace.SERVER:
        servers = open_evaluation_data(spec.data, cache=cache, class_names=class_names)
    for each in (*own, servers):
        if each is not None:
            check_dataset(task, each, EVALUATION)
    if pooled:
        names = share_names(1)
        training = [ClientDataset.pooled(training, names[0])]
        held = [each for each in own if each is not None]
        own = [ClientDataset.pooled(held, names[0]) if held else None]
    scale = scale_over(spec.data, training)
    for each in (*training, *own, servers):
        if each is not None and scale is not None:
            each.standardize(scale)
    clients = {
        name: VirtualClient(data, evaluation)
        for name, data, evaluation in zip(names, training, own, strict=True)
    }
    return SimulationSetup(task, network, clients, servers, loaded, scale)


def _names(spec: JobSpec, client_ids: Sequence[str] | None) -> list[str]:
    if spec.data.partition is not None:
        return share_names(spec.data.partition.clients)
    if client_ids is None:
        raise InputError.at(
            "spec.data.partition",
            "is missing; partition a common dataset (--clients, --partition), or name the clients",
        )
    return sorted(client_ids)


PROFILE_OPTION = "--profile"


class Part(NamedTuple):
    """A client profile and its weight in a mix; a client has it with probability weight / sum of weights."""

    profile: ClientProfile
    weight: float


Mix = Sequence[Part]


def parse_mix(text: str) -> Mix:
    """Parse ``lte``, ``lan:0.8,lte:0.2``, or names of YAML files with a `ClientProfile`'s fields in them.

    Raises:
        InputError: a name is unknown, a weight is no positive number, or a file is no profile.
    """
    return [_part(each.strip()) for each in text.split(",")]


def assign(mix: Mix, clients: Sequence[str], seed: int) -> dict[str, ClientProfile]:
    """Draw a profile for each client, with probabilities in proportion to the weights."""
    weights = [part.weight for part in mix]
    rng = generator(seed, Purpose.CLIENT_PROFILE)
    drawn = rng.choice(len(mix), size=len(clients), p=[weight / sum(weights) for weight in weights])
    return {client: mix[kind].profile for client, kind in zip(clients, drawn.tolist(), strict=True)}


def _part(text: str) -> Part:
    name, colon, local_batch = text.partition(":")
    try:
        weight = float(local_batch) if colon else 1.0
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise InputError.at(
            PROFILE_OPTION, f"has the weight '{local_batch}'; write NAME:WEIGHT, such as lan:0.8,lte:0.2"
        )
    return Part(PROFILES[name] if name in PROFILES else _read_profile(name, PROFILES), weight)


def _read_profile(name: str, known: Mapping[str, ClientProfile]) -> ClientProfile:
    if not name.endswith((".yaml", ".yml")):
        raise InputError.at(
            PROFILE_OPTION,
            f"names '{name}', must be one of {', '.join(known)} or a YAML file{nearest(name, [*known])}",
        )
    try:
        return ClientProfile.model_validate(read_document(Path(name)))
    except ValidationError as error:
        raise InputError(*violations_of(error, ClientProfile)) from error


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Threads:
    """Numbers of cores on which server and clients compute, which decide the last bits of their results.

    Attributes:
        server: Cores of the server; None for as many as torch is set to.
        client: Cores of each client; None for as many as torch is set to.
    """

    server: int | None = None
    client: int | None = None


AS_TORCH_IS_SET: Final = Threads()


def on_cores(cores: int | None, compute: Callable[[], T]) -> T:
    """Call ``compute`` with torch set to ``cores``; None for as many as torch is set to."""
    if cores is not None and cores != torch.get_num_threads():
        torch.set_num_threads(cores)
    return compute()


Watch = Callable[[Record, int], None]
"""Called with each record and the number of steps in all, 0 while that is unknown."""


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """How a job is simulated.

    Attributes:
        profile: Links and machines of the clients (`parse_mix`); None to model no time and lose nobody.
        server_samples_per_second: Samples whose forward and backward the server computes per second.
        schedule_only: Draw the batches of the training without training.
        client_ids: Names of the clients; None if the job has a partition, which names them.
        cache: Folder for converted datasets.
        threads: Cores of the server and of each client.
        recalibration_batches: Number of global batches over which BatchNorm statistics of the server part are
            estimated for a second score in each evaluation; 0 for no second score.
        device: Name of the device of both parts: auto, cpu, cuda or cuda:N; auto is the GPU if there is one.
    """

    profile: Mix | None = None
    server_samples_per_second: float = SERVER_SAMPLES_PER_SECOND
    schedule_only: bool = False
    client_ids: Sequence[str] | None = None
    cache: Path = DATASET_CACHE
    threads: Threads = AS_TORCH_IS_SET
    recalibration_batches: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Simulation:
    """A job to be simulated.

    Attributes:
        job: The manifest.
        strategy: Strategy that draws the batches: the job's own, or a baseline.
        options: How it is simulated.
    """

    job: SplitTrainingJob
    strategy: Strategy
    options: SimulationOptions = SimulationOptions()
