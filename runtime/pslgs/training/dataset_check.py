"""Check of a dataset against the model's input and the loss, before the training starts."""

import torch

from pslgs.data.client_dataset import ClientDataset
from pslgs.spec.errors import InputError
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
        raise InputError.at(
            path,
            f"has samples of shape {list(data.input_shape)}, but the model's input has the shape "
            f"{list(task.input_shape)}; change spec.data.transforms or spec.model.inputShape",
        )
    labels = torch.from_numpy(data.labels)
    if task.objective.label_dtype == torch.int64 and labels.is_floating_point():
        raise InputError.at(path, "has targets as labels, but CrossEntropy needs class numbers")
    violation = task.objective.violation(task.objective.as_labels(labels))
    if violation:
        raise InputError.at(path, f"{violation}; change the model's outputs or the labels")
