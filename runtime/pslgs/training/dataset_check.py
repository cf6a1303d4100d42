"""Datasets before the training starts: a check against model and loss, and the pooled label counts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.label_space import CLASSES, listed
from pslgs.model_inputs import Inputs, InputShape, NamedShapes, shape_text, tensors_of
from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import OPTIONS
from pslgs.training.objective import Objective
from pslgs.training.setup import TrainingSetup


def check_dataset(task: TrainingSetup, data: ClientDataset, path: str) -> None:
    """Check that the samples and labels of a dataset fit the model and the loss.

    Args:
        task: Definition of the training.
        data: The training or evaluation data.
        path: Path of the dataset in the manifest, for error messages.

    Raises:
        InputError: the shape of the samples or the labels do not fit.
    """
    if data.input_shape != task.input_shape:
        raise _refused(
            data,
            path,
            f"has samples of shape {shape_text(data.input_shape)}, but the model's input has the shape "
            f"{shape_text(task.input_shape)}; change {_remedy(task.input_shape)}",
        )
    _check_named(task.objective, data, path)
    _check_names(task, data.class_names)
    violation = label_violation(task.objective, torch.from_numpy(data.labels), task.outputs_field)
    if violation:
        raise _refused(data, path, violation)


def _refused(data: ClientDataset, path: str, problem: str) -> InputError:
    """Return an error that names the client and the data."""
    return InputError.at(path, f"{problem} ({data.origin})" if data.origin else problem)


def _remedy(shape: InputShape) -> str:
    if isinstance(shape, NamedShapes):
        return "transforms or shape of the input in spec.data.inputs"
    return "spec.data.transforms or spec.model.inputShape"


def _check_named(objective: Objective, data: ClientDataset, path: str) -> None:
    """Check that names of classes are not taken for numbers: those depend on the order of the names only.

    A single output of BinaryCrossEntropy distinguishes two classes, whose order the manifest may declare, or
    numbers that are stored in the data.  Names of several targets are those of the outputs.
    """
    named = data.has_text_labels or bool(data.class_names and _are_class_numbers(data))
    if not named or objective.label_dtype == torch.int64:
        return
    if objective.classes and (data.has_declared_classes or not data.has_text_labels):
        return
    kind, remedy, field = "names", _NO_TARGETS, path
    if objective.classes:
        remedy = (
            f"name two classes in {CLASSES}, the one that counts as 1 last, or use the loss CrossEntropy and "
            "an output for each class"
        )
    elif not data.has_text_labels:
        kind, remedy = "numbers of classes", _NO_TARGETS_OF_NUMBERS
        field = CLASSES if data.has_declared_classes else path
    problem = f"has {kind} as labels, {listed(data.class_names or ())}, but {objective.loss} needs numbers"
    if field == CLASSES:
        problem = f"names classes, {listed(data.class_names or ())}, but {objective.loss} needs targets"
    raise _refused(data, field, f"{problem}; {remedy}")


_NO_TARGETS: Final = (
    "for classes use the loss CrossEntropy and an output for each class; store targets as numbers, with a "
    "decimal point"
)
_NO_TARGETS_OF_NUMBERS: Final = (
    "for classes use the loss CrossEntropy and an output for each class; if labels are targets, remove the "
    "names of classes"
)


def _are_class_numbers(data: ClientDataset) -> bool:
    """Return whether labels are positions in names of classes that are not the numbers themselves."""
    numbers = tuple(map(str, range(len(data.class_names or ()))))
    return data.labels.ndim == 1 and data.labels.dtype.kind == "i" and data.class_names != numbers


def _check_names(task: TrainingSetup, names: tuple[str, ...] | None) -> None:
    """Check that the model has an output for each class that has a name."""
    objective = task.objective
    if names and objective.classes is not None and len(names) > objective.classes:
        raise InputError.at(
            CLASSES,
            f"are {len(names)}, {listed(names)}, but the model's outputs stand for {objective.classes}; "
            f"set {task.outputs_field} to {len(names)}",
        )


def label_violation(objective: Objective, labels: Tensor, outputs_field: str = OPTIONS) -> str | None:
    """Return why labels are not what the loss needs, and what to do, as a clause; None if they are.

    The loss decides what labels are: class numbers, which may be stored as floats or one-hot rows, or
    numbers, which may be stored as integers.

    Args:
        objective: The loss, with its requirements on labels.
        labels: Labels of a dataset; shape (N,) or (N, targets).
        outputs_field: Path of the manifest field that gives the number of the model's outputs.
    """
    if objective.label_dtype == torch.int64 and len(labels):
        violation = _not_classes(objective, labels)
        if violation:
            return violation
    rows = objective.as_labels(labels)
    violation = objective.violation(rows)
    if violation is None:
        return None
    if objective.classes and rows.shape[1] == 1 and rows.min() >= 1 and rows.max() == objective.classes:
        return f"{violation}; classes are numbered from 0, so subtract 1 from the labels"
    return f"{violation}; change the model's outputs ({outputs_field}) or the labels"


def _not_classes(objective: Objective, labels: Tensor) -> str | None:
    """Return why labels cannot be class numbers; None if they can."""
    loss = objective.loss
    if labels.dim() == 2 and labels.shape[1] > 1:
        if bool((labels.ne(0).sum(dim=1) == 1).all() and (labels.sum(dim=1) == 1).all()):
            return None if labels.shape[1] == objective.classes else _width(objective, labels.shape[1])
        return (
            f"has rows of {labels.shape[1]} numbers as labels, but {loss} needs one class for each sample: "
            "its number, or a row with a single 1; for several classes at once use BinaryCrossEntropy"
        )
    if labels.is_floating_point() and bool((labels != labels.round()).any()):
        fraction = labels[labels != labels.round()][0].item()
        return (
            f"has the label {fraction:g}, but {loss} needs class numbers; for targets use the loss "
            "MeanSquaredError"
        )
    return None


def _width(objective: Objective, width: int) -> str:
    return f"has one-hot labels of {width} classes, but the model's outputs stand for {objective.classes}"


def pooled_label_counts(objective: Objective, datasets: Iterable[ClientDataset]) -> list[int]:
    """Return the number of labels of each class in several datasets; empty if labels are not classes."""
    counts = [objective.class_counts(objective.as_labels(torch.from_numpy(data.labels))) for data in datasets]
    return [sum(of_class) for of_class in zip(*counts, strict=True)]


@contextmanager
def naming_unknown_tokens(inputs: Inputs) -> Iterator[None]:
    """Name integer inputs for which the model has no embedding.

    Raises:
        InputError: the block raised an IndexError, as an Embedding does.
    """
    try:
        yield
    except IndexError as error:
        integers = [each for each in tensors_of(inputs) if not each.is_floating_point() and each.numel()]
        if not integers:
            raise
        ranges = " and ".join(f"from {int(each.min())} to {int(each.max())}" for each in integers)
        raise InputError.at(
            "spec.data",
            f"holds numbers {ranges}, for one of which the model has no embedding ({error}); correct the "
            "data, or enlarge the Embedding",
        ) from error
