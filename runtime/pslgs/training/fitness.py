"""Whether a dataset fits what is trained, found out before anything starts."""

import torch

from pslgs.data.local import LocalDataset
from pslgs.spec.errors import InputError
from pslgs.training.task import Task


def check_dataset(task: Task, data: LocalDataset, path: str) -> None:
    """Compare a dataset's samples and labels with the model's input and outputs.

    Args:
        task: What is trained.
        data: What it is trained or measured on.
        path: The dataset's field in the manifest.

    Raises:
        InputError: they do not fit.
    """
    if data.input_shape != task.input_shape:
        raise InputError.at(
            path,
            f"has samples of shape {list(data.input_shape)}, but the model is given "
            f"{list(task.input_shape)}; change spec.data.transforms or spec.model.inputShape",
        )
    labels = torch.from_numpy(data.labels)
    classes_given = not labels.is_floating_point()
    if task.objective.label_dtype == torch.int64 and not classes_given:
        raise InputError.at(path, "has targets as labels, but CrossEntropy needs the numbers of classes")
    violation = task.objective.violation(task.objective.as_labels(labels))
    if violation:
        raise InputError.at(path, f"{violation}; change the model's outputs or the labels")
