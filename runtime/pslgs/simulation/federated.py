"""Federated averaging (McMahan et al. 2017), the baseline without a cut."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pslgs.coordination.best_evaluation import BestEvaluation
from pslgs.coordination.epoch_position import ONLY_STEP, EpochPosition
from pslgs.coordination.messages import ApplyUpdate, ExchangeId, LocalBatch
from pslgs.coordination.numeric_faults import divergence
from pslgs.coordination.settings import comparison_from
from pslgs.costs.time_model import ClientTimeModel, Link, round_time
from pslgs.data.client_dataset import ClientDataset
from pslgs.model_inputs import Inputs, call, converted, tensors_of
from pslgs.sampling.deviation import BatchQuality
from pslgs.sampling.randomness import Purpose, client_key, torch_seed
from pslgs.sampling.schedule import chunk_of
from pslgs.simulation.evaluator import Recalibration
from pslgs.simulation.recorder import Write
from pslgs.simulation.setup import SimulationOptions, SimulationSetup
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import JobSpec
from pslgs.spec.metrics import Metric
from pslgs.spec.training import Baseline, PrecisionSpec
from pslgs.splitting.split_network import SplitNetwork
from pslgs.telemetry.evaluations import evaluation_record
from pslgs.telemetry.records import EvaluationRecord, FinishRecord, StepRecord, step_record
from pslgs.training.batchnorm import single_sample_explained
from pslgs.training.dataset_check import pooled_label_counts
from pslgs.training.device import choose_device
from pslgs.training.evaluation import Score, score_dataset
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.model_code import WHOLE_MODEL, backward_pass, forward_pass
from pslgs.training.optimizer import apply_step, build_optimizer
from pslgs.training.profile import profile_network
from pslgs.training.schedule import Plateau, learning_rate
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import floating_tensors, trainable
from pslgs.training.torch_thread import seed_torch

ScoreDataset = Callable[[ClientDataset], Score]
"""Scores the averaged network on all samples of a dataset."""


class Round(NamedTuple):
    """An applied round: its number, counted from 1, mean loss over all samples, and learning rate."""

    number: int
    loss: float
    learning_rate: float


class FederatedTraining:
    """Trains the network without cutting it; before the cut it has GroupNorm as in split training.

    In a round, each client starts from the shared weights and trains one epoch over its own data, in
    near-equal batches of at most B samples and with an optimizer of its own.  The results, BatchNorm
    statistics included, are averaged with weights N_k/N.
    """

    def __init__(
        self,
        task: TrainingSetup,
        network: SplitNetwork,
        datasets: Mapping[str, ClientDataset],
        batch_size: int,
    ) -> None:
        self.plateau = Plateau()
        self._task = task
        self._datasets = {name: data for name, data in datasets.items() if data.samples}
        self._batch_size = batch_size
        self._objective = task.objective.balanced(pooled_label_counts(task.objective, datasets.values()))
        self._model = network.whole_model()
        parts = network.client_part, network.server_part
        self._tensors = [tensor for part in parts for tensor in floating_tensors(part)]
        self._trained = [parameter for part in parts for parameter in trainable(part)]

    def rounds(self) -> Iterator[Round]:
        """Train one round per epoch of the job, and yield each."""
        for number in range(1, self._task.epochs + 1):
            rate = self._rate(number)
            yield Round(number, self._round(number), rate)

    def _rate(self, number: int, position: EpochPosition = ONLY_STEP) -> float:
        task = self._task
        return learning_rate(task.optimizer, number, task.epochs, position, self.plateau.reductions)

    def _round(self, number: int) -> float:
        begun = [tensor.clone() for tensor in self._tensors]
        total = [torch.zeros_like(tensor, dtype=torch.float64) for tensor in self._tensors]
        pooled = sum(data.samples for data in self._datasets.values())
        loss = 0.0
        for client, data in self._datasets.items():
            _copy(self._tensors, begun)
            loss += data.samples / pooled * self._local_epoch(client, data, number)
            for weighted, tensor in zip(total, self._tensors, strict=True):
                weighted.add_(tensor, alpha=data.samples / pooled)
        _copy(self._tensors, total)
        return loss

    def _local_epoch(self, client: str, data: ClientDataset, number: int) -> float:
        """Train one client for an epoch; return the mean loss over its samples."""
        self._model.train()
        seed_torch(torch_seed(self._task.seed, Purpose.CLIENT_DROPOUT, number, client_key(client)))
        optimizer = build_optimizer(self._task.optimizer, self._trained)
        batches = -(-data.samples // self._batch_size)
        loss_sum = 0.0
        for index in range(batches):
            start, stop = chunk_of(index, data.samples, batches)
            batch = data.batch(number, start, stop - start)
            inputs = self._there(batch.inputs)
            with (
                forward_pass(WHOLE_MODEL, tensors_of(inputs)),
                single_sample_explained(self._model, stop - start, f"client {client}"),
            ):
                outputs = call(self._model, inputs)
            labels = self._objective.as_labels(batch.labels).to(outputs.device)
            loss = self._objective.mean_loss(outputs, labels)
            with backward_pass(WHOLE_MODEL):
                torch.autograd.backward(loss)
            position = EpochPosition(index, batches)
            rate = self._rate(number, position)
            apply_step(optimizer, rate, self._task.optimizer)
            loss_sum += loss.item() * (stop - start)
        return loss_sum / data.samples

    def _there(self, inputs: Inputs) -> Inputs:
        """Return inputs on the model's device, in the type of its parameters unless they are integers."""
        like = self._tensors[0]
        return converted(inputs, self._task.input_dtype or like.dtype, like.device)


@torch.no_grad()
def _copy(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def round_seconds(
    times: ClientTimeModel, dataset_sizes: Mapping[str, int], task: TrainingSetup, network: SplitNetwork
) -> float | None:
    """Predict the seconds of a round, T = max_k [2·latency + P + C + G] over the clients with data.

    P and G are client k's transfers of the whole network, down and up.  C is its forward and backward of N_k
    samples through the whole network: its profile has the speed of the client part, and the rest of the
    network takes as much longer as it has more operations.  Averaging takes no time.

    Args:
        times: Profiles of the clients, and the traffic of a round.
        dataset_sizes: Client -> N_k.
        task: Definition of the training.
        network: The network.

    Returns:
        None without profiles, or where the client part has no operations whose speed could be known.
    """
    working = {client: samples for client, samples in dataset_sizes.items() if samples}
    if not times.profiles or not working:
        return None
    anatomy = profile_network(network, task.input_shape, task.input_dtype)
    if not anatomy.client_flops:
        return None
    longer = 1 + anatomy.server_flops / anatomy.client_flops
    return max(
        round_time(Link.of_profile(profile), times.traffic, longer * samples / profile.samples_per_second)
        for profile, samples in ((times.profiles[client], samples) for client, samples in working.items())
    )


def run_federated(  # noqa: PLR0913, PLR0917 - what is simulated, and where its results go
    spec: JobSpec,
    setup: SimulationSetup,
    times: ClientTimeModel,
    write: Write,
    options: SimulationOptions,
    keep_best: Callable[[Mapping[str, Tensor]], None] | None = None,
) -> None:
    """Train one round per epoch of the job, and write records of rounds, evaluations and the end.

    A round is recorded as a step whose batch is all data; it has no deviation, and no client is lost.

    Raises:
        InputError: the network cannot train on the only sample of a client, or the job has an option that
            clients with optimizers of their own do not have.
    """
    _refuse_options(spec)
    datasets = {name: client.training for name, client in setup.clients.items()}
    batch_size = spec.sampling.global_batch_size
    modelled = round_seconds(times, setup.dataset_sizes, setup.task, setup.network)
    device = choose_device(options.device)
    model = LocalServerModel(setup.task, setup.network, device)  # moves the network, so it comes first
    model.begin(pooled_label_counts(setup.task.objective, datasets.values()))
    training = FederatedTraining(setup.task, setup.network, datasets, batch_size)
    recalibration = Recalibration(setup.task, model, datasets, batch_size, options.recalibration_batches)

    def score(data: ClientDataset) -> Score:
        return score_dataset(model, setup.task.objective, data, batch_size)

    comparison, best = comparison_from(spec), BestEvaluation()
    before = time.perf_counter()
    for done in training.rounds():
        broken = model.non_finite()
        if broken is not None or not math.isfinite(done.loss):
            found = f"'{broken}' is not finite" if broken else f"the loss is {done.loss}"
            message = divergence(f"{found} after round {done.number}")
            write(FinishRecord(time.time(), done.number - 1, ExitCode.DIVERGED.name, message))
            return
        write(_round_record(done, setup, time.perf_counter() - before, modelled))
        due = done.number % spec.evaluate_every_epochs == 0 or done.number == spec.epochs
        if due and spec.data.evaluation is not None:
            record = _evaluate(score, setup, recalibration, done.number, comparison.metric)
            followed = setup.task.followed_metric
            value = record.loss if followed is Metric.LOSS else record.metrics.get(followed)
            training.plateau.observe(math.nan if value is None else value, followed, spec.optimizer.schedule)
            write(record)
            best = best.after(record.value, done.number, done.number, comparison)
            if keep_best is not None and best.epoch == done.number:
                keep_best(setup.network.named_tensors())
            if best.ends(comparison) and done.number < spec.epochs:
                why = f"stopped early after round {done.number} of {spec.epochs}"
                message = f"{why}: {best.why_it_ends(comparison)}"
                write(FinishRecord(time.time(), done.number, ExitCode.FINISHED.name, message, early=True))
                return
        before = time.perf_counter()
    message = f"trained {spec.epochs} rounds of federated averaging"
    write(FinishRecord(time.time(), spec.epochs, ExitCode.FINISHED.name, message))


def _refuse_options(spec: JobSpec) -> None:
    refused = {
        "spec.optimizer.accumulate": spec.optimizer.accumulate > 1,
        "spec.ema.decay": spec.ema.decay is not None,
        "spec.precision": spec.precision != PrecisionSpec(),
    }
    problem = f"does not apply to the strategy {Baseline.FEDERATED_AVERAGING}; remove it"
    if violations := [Violation(path, problem) for path, given in refused.items() if given]:
        raise InputError(*violations)


def _round_record(
    done: Round, setup: SimulationSetup, seconds: float, modelled_seconds: float | None
) -> StepRecord:
    local_batches = tuple(
        LocalBatch(name, 0, 0, samples) for name, samples in setup.dataset_sizes.items() if samples
    )
    return step_record(
        ApplyUpdate(ExchangeId(done.number, attempt=1), done.number, local_batches),
        time=time.time(),
        loss=done.loss,
        learning_rate=done.learning_rate,
        quality=BatchQuality(),
        seconds={"round": seconds},
        modelled_seconds=modelled_seconds,
    )


@torch.no_grad()
def _evaluate(
    score: ScoreDataset, setup: SimulationSetup, recalibration: Recalibration, number: int, metric: str
) -> EvaluationRecord:
    scores = _scores(score, setup)
    statistics = recalibration.statistics(number)
    again = recalibration.score(statistics, lambda: _total(_scores(score, setup)))
    return evaluation_record(
        time=time.time(),
        epoch=number,
        step=number,
        total=_total(scores),
        clients={name: score for name, score in scores.items() if name},
        recalibrated=again,
        metric=metric,
        class_names=setup.class_names or (),
    )


def _scores(score: ScoreDataset, setup: SimulationSetup) -> dict[str, Score]:
    """Return client -> score on its evaluation data, or the server's score under an empty name."""
    if setup.evaluation:
        return {"": score(setup.evaluation)}
    held = {name: client.evaluation for name, client in setup.clients.items() if client.evaluation}
    return {name: score(data) for name, data in held.items()}


def _total(scores: Mapping[str, Score]) -> Score:
    return sum(scores.values(), Score())
