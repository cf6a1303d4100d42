"""Classification datasets of torchvision, read from disk; nothing is downloaded."""

from collections.abc import Mapping
from typing import Any

import torchvision

from pslgs.data.map_dataset import Pairs, PairsSource, labels_of
from pslgs.data.source import checked_labels, nfc
from pslgs.spec.data import DataSource, Split
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

Arguments = Mapping[str, Any]

BY_FLAG: tuple[Arguments, Arguments] = ({"train": True}, {"train": False})
BY_NAME: tuple[Arguments, Arguments] = ({"split": "train"}, {"split": "test"})
BY_VALIDATION: tuple[Arguments, Arguments] = ({"split": "train"}, {"split": "val"})
UNDIVIDED: tuple[Arguments, Arguments] = ({}, {})

SPLIT_ARGUMENTS: Mapping[str, tuple[Arguments, Arguments]] = {
    **dict.fromkeys(("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "USPS"), BY_FLAG),
    **dict.fromkeys(("Country211", "DTD", "FER2013", "FGVCAircraft", "Flowers102", "Food101"), BY_NAME),
    **dict.fromkeys(("GTSRB", "PCAM", "RenderedSST2", "STL10", "StanfordCars", "SVHN"), BY_NAME),
    **dict.fromkeys(("ImageNet", "Imagenette"), BY_VALIDATION),
    **dict.fromkeys(("Caltech101", "Caltech256", "EuroSAT", "SEMEION", "SUN397"), UNDIVIDED),
    "OxfordIIITPet": ({"split": "trainval"}, {"split": "test"}),
}
"""Constructor arguments that select the training and the test split of each supported dataset."""

LABEL_ATTRIBUTES = ("targets", "labels", "_labels", "y")


def open_torchvision(source: DataSource, field: str) -> PairsSource:
    """Open the torchvision dataset ``source.name`` in the folder ``source.path``.

    If torchvision does not divide a dataset, all of it is the training split.

    Raises:
        InputError: the dataset is unknown, its files are missing, or it has no test split.
    """
    name = source.name or ""
    if name not in SPLIT_ARGUMENTS:
        known = sorted(SPLIT_ARGUMENTS)
        listed = ", ".join(known)
        raise InputError.at(f"{field}.name", f"is '{name}', must be one of {listed}{nearest(name, known)}")
    train, test = SPLIT_ARGUMENTS[name]
    if source.chosen_split is Split.TEST and not test:
        raise InputError.at(
            f"{field}.split", f"is Test, but {name} has no test split; use test data in another format"
        )
    arguments = test if source.chosen_split is Split.TEST else train
    dataset = _open(name, source.path or "", arguments, field)
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None) or source.classes
    labels = checked_labels(labels_of(dataset, LABEL_ATTRIBUTES, field), field)
    class_names = nfc([*map(str, names)]) if names else None
    # These datasets index arrays in memory or open one file for each item; none keeps a file open.
    return PairsSource(dataset, labels, class_names, field, is_thread_safe=True)


def _open(name: str, path: str, arguments: Arguments, field: str) -> Pairs:
    try:
        dataset: Pairs = getattr(torchvision.datasets, name)(path, **arguments)  # none downloads by default
    except (RuntimeError, OSError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0].removesuffix(" You can use download=True to download it")
        raise InputError.at(
            f"{field}.path", f"is '{path}', where {name} cannot be read ({reason}); put its files there"
        ) from error
    return dataset
