"""A training loop as one writes it in plain PyTorch, with every option of a job."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from exactness.small_job import CLASSES, brier, log_cosh
from pslgs.data.client_dataset import ClientDataset
from pslgs.spec import JobSpec
from pslgs.splitting.network import build_network
from pslgs.splitting.split_network import SplitNetwork

Batches = Sequence[tuple[int, Mapping[str, tuple[int, int]]]]
"""Of each step the epoch, and client -> (offset, samples)."""

Schedule = optim.lr_scheduler.LRScheduler
Scaling = Callable[[Tensor], Tensor]
Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Plain:
    """What the loop gives."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    evaluation: float = float("nan")


class Datasets(NamedTuple):
    """The samples of the clients and of the server."""

    training: Mapping[str, ClientDataset]
    evaluation: ClientDataset


def plain_loop(
    spec: JobSpec, datasets: Datasets, batches: Batches, rates: Sequence[float] | None = None
) -> Plain:
    """Train the whole network on the batches, at the learning rate of each if it is given."""
    network = initialised(spec)
    model = network.whole_model()
    both = [*network.client_part.parameters(), *network.server_part.parameters()]
    parameters = [parameter for parameter in both if parameter.requires_grad]
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(spec.ema.decay or 0), use_buffers=True)
    evaluated = model if spec.ema.decay is None else average.module
    optimizer = build_optimizer(spec, parameters)
    labels = np.concatenate([data.labels for data in datasets.training.values()])
    criterion, weight = build_criterion(spec, labels)
    windows = list(windows_of(spec, batches))
    schedule = build_schedule(spec, optimizer, len(windows))
    plain, scale, taken = Plain(), scaling(spec, datasets), 0
    for number, (epoch, window) in enumerate(windows, start=1):
        several = [loaded(datasets.training, epoch, local_batches) for local_batches in window]
        pooled = sum(weight(labels) for _, labels in several)
        model.train()
        for name in spec.model.freeze:
            if name == "norm":
                network.server_part.get_submodule(name).eval()
        optimizer.zero_grad()
        for inputs, labels in several:
            loss = criterion(model(scale(inputs)), labels)
            (loss * weight(labels) / pooled).backward()
            plain.losses.append(loss.item())
        clip(spec, parameters)
        taken += len(window)
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[taken - 1]
        optimizer.step()
        average.update_parameters(model)
        is_last = number == len(windows)
        if isinstance(schedule, optim.lr_scheduler.ReduceLROnPlateau):
            if is_last or windows[number][0] != epoch:
                schedule.step(evaluate(evaluated, criterion, datasets.evaluation, scale))
        elif not is_last:
            schedule.step()
    plain.evaluation = evaluate(evaluated, criterion, datasets.evaluation, scale)
    exported = replace(network, client_part=evaluated.client_part, server_part=evaluated.server_part)
    plain.tensors = {name: tensor.detach().clone() for name, tensor in exported.named_tensors().items()}
    return plain


def initialised(spec: JobSpec) -> SplitNetwork:
    """Return the network with the weights of the file, if there is one, and with frozen layers."""
    network = build_network(spec.model.model_copy(update={"freeze": ()}), spec.sampling.seed)
    given = load_file(spec.model.initial_weights.path) if spec.model.initial_weights else {}
    for name, tensor in network.named_tensors().items():
        if name in given:
            tensor.detach().copy_(given[name])
        if any(f"{name}.".startswith(f"{each}.") for each in spec.model.freeze):
            tensor.requires_grad_(requires_grad=False)
    return network


def windows_of(spec: JobSpec, batches: Batches) -> Iterator[tuple[int, list[Mapping[str, tuple[int, int]]]]]:
    """Yield of each optimizer step the epoch and its global batches."""
    for epoch, several in itertools.groupby(batches, lambda batch: batch[0]):
        for window in in_groups([each for _, each in several], spec.optimizer.accumulate):
            yield epoch, list(window)


def in_groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    yield from (items[first : first + size] for first in range(0, len(items), size))


def clip(spec: JobSpec, parameters: Sequence[nn.Parameter]) -> None:
    if spec.optimizer.clip_norm:
        nn.utils.clip_grad_norm_(parameters, spec.optimizer.clip_norm)
    if spec.optimizer.clip_value:
        nn.utils.clip_grad_value_(parameters, spec.optimizer.clip_value)


@torch.no_grad()
def evaluate(model: nn.Module, criterion: Criterion, data: ClientDataset, scale: Scaling) -> float:
    """Return the loss over all evaluation samples as one batch."""
    model.eval()
    batch = data.in_order(0, data.samples)
    return criterion(model(scale(batch.inputs)), batch.labels).item()


def loaded(
    datasets: Mapping[str, ClientDataset], epoch: int, local_batches: Mapping[str, tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    several = [datasets[client].batch(epoch, *local_batches[client]) for client in sorted(local_batches)]
    return torch.cat([batch.inputs for batch in several]), torch.cat([batch.labels for batch in several])


def scaling(spec: JobSpec, datasets: Datasets) -> Scaling:
    """Return the function of a batch of stored samples to the inputs of the network."""
    if spec.data.standardize == "None":
        return lambda stored: stored.double()
    several = [data.in_order(0, data.samples).inputs for data in datasets.training.values()]
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - few tests need it

    scaler = StandardScaler().fit(torch.cat(several).double().numpy())
    mean, deviation = (torch.from_numpy(each.astype(np.float32)) for each in (scaler.mean_, scaler.scale_))
    return lambda stored: ((stored - mean) / deviation).double()


def build_optimizer(spec: JobSpec, parameters: Sequence[nn.Parameter]) -> optim.Optimizer:
    settings = spec.optimizer
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.name:
        case "SGD":
            return optim.SGD(
                parameters, rate, settings.momentum, weight_decay=decay, nesterov=settings.nesterov
            )
        case "RMSprop":
            return optim.RMSprop(
                parameters, rate, alpha=settings.alpha, momentum=settings.momentum, weight_decay=decay
            )
        case "Adam":
            return optim.Adam(parameters, rate, betas=settings.betas, weight_decay=decay)
        case _:
            return optim.AdamW(parameters, rate, betas=settings.betas, weight_decay=decay)


def build_schedule(spec: JobSpec, optimizer: optim.Optimizer, steps: int) -> Schedule:
    """Return a schedule that is to be called after each step but the last, or after each evaluation."""
    schedule, a_epoch = spec.optimizer.schedule, steps // spec.epochs
    warm_up = schedule.warmup_epochs or 0
    if schedule.name == "ReduceOnPlateau":
        return optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=schedule.factor, patience=schedule.patience
        )
    if schedule.name == "OneCycle":
        rise = {"pct_start": warm_up / spec.epochs} if warm_up else {}
        rate = spec.optimizer.learning_rate
        return optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, cycle_momentum=False, **rise)
    shapes: dict[str, Callable[[float], float]] = {
        "Constant": lambda _: 1.0,
        "Cosine": lambda passed: (1 + math.cos(math.pi * passed / (spec.epochs - warm_up))) / 2,
        "Step": lambda passed: schedule.factor ** (passed // schedule.every_epochs),
    }

    def after_warm_up(step: int) -> float:
        return shapes[schedule.name](max(0, (step + round(warm_up * a_epoch)) // a_epoch - warm_up))

    following = optim.lr_scheduler.LambdaLR(optimizer, after_warm_up)
    if not warm_up:
        return following
    iterations = round(warm_up * a_epoch)
    rising = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=iterations)
    return optim.lr_scheduler.SequentialLR(optimizer, [rising, following], [iterations])


def build_criterion(spec: JobSpec, labels: Any) -> tuple[Criterion, Callable[[Tensor], float]]:
    """Return the loss of a batch, and the weight of the batch among others."""
    options = spec.loss_options
    if spec.loss == "CrossEntropy":
        return cross_entropy(options, labels)
    criteria: dict[tuple[str, str], Criterion] = {
        ("BinaryCrossEntropy", "Classes"): binary_cross_entropy(options, labels),
        ("Huber", "Classes"): lambda x, y: nn.HuberLoss(delta=options.delta)(x, y.double()),
        ("MeanSquaredError", "Classes"): lambda x, y: nn.MSELoss()(x, y.double()),
        ("Custom", "Classes"): brier,
        ("Custom", "Values"): lambda x, y: log_cosh(x, y.double()),
    }
    return criteria[spec.loss, options.labels], lambda y: float(len(y))


def binary_cross_entropy(options: Any, labels: Any) -> Criterion:
    gamma, positive = options.focal_gamma, options.positive_weight
    if gamma:
        from torchvision.ops import sigmoid_focal_loss  # noqa: PLC0415 - few tests need it

        return lambda x, y: sigmoid_focal_loss(x[:, 0], y.double(), alpha=-1, gamma=gamma, reduction="mean")
    if options.class_weighting == "Balanced":
        positive = (labels == 0).sum() / (labels == 1).sum()
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([positive]).double())
    return lambda x, y: loss(x, y.double().unsqueeze(1))


def cross_entropy(options: Any, labels: Any) -> tuple[Criterion, Callable[[Tensor], float]]:
    given = options.class_weights
    if options.class_weighting == "Balanced":
        from sklearn.utils.class_weight import compute_class_weight  # noqa: PLC0415 - few tests need it

        given = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    weights = torch.ones(CLASSES).double() if given is None else torch.tensor(given).double()

    def focal(x: Tensor, y: Tensor) -> Tensor:
        p = x.softmax(dim=1)[range(len(y)), y]
        return (weights[y] * (1 - p) ** options.focal_gamma * -p.log()).sum() / weights[y].sum()

    loss = nn.CrossEntropyLoss(weights, label_smoothing=options.label_smoothing)
    return focal if options.focal_gamma else loss, lambda y: float(weights[y].sum())
