"""The label space of a job: its classes by name, and their numbers in all training and evaluation data."""

import copy
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

import numpy as np

from pslgs.data.source import Labels, Source
from pslgs.spec.errors import InputError

CLASSES: Final = "spec.data.classes"
_NAMES_SHOWN: Final = 20

ClassNames = tuple[str, ...]


def in_label_space(source: Source, names: ClassNames | None, field: str, place: str) -> Source:
    """Return a source whose classes are numbered by their position in ``names``.

    A source without names of its own has these numbers already.

    Args:
        source: The source, with its own numbers; it does not change.
        names: Names of the job's classes; None to keep the source's own names and numbers.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
        place: Path or name of the data, for error messages.

    Raises:
        InputError: the source has samples of a class that is not in ``names`` or not in its own, or names
            a class twice.
    """
    if names is None:
        own = source.class_names
        if own:
            _check_different(own, field, place)
            renumbered(source.labels, own, own, field, place)
        return source
    numbered = copy.copy(source)
    numbered.labels = renumbered(source.labels, source.class_names, names, field, place)
    numbered.class_names = names
    return numbered


def _check_different(own: ClassNames, field: str, place: str) -> None:
    """Check that no two classes of a dataset have the same name, by which they would become one."""
    twice = next((name for name, count in Counter(own).items() if count > 1), None)
    if twice is not None:
        raise InputError.at(field, f"names the class '{twice}' twice ('{place}'); rename one of them")


def renumbered(labels: Labels, own: ClassNames | None, names: ClassNames, field: str, place: str) -> Labels:
    """Return labels with the number of each class replaced by that of its name in ``names``.

    Args:
        labels: Labels, with classes numbered by their position in ``own``.
        own: Names of the classes; None where they are unknown, and their numbers those of ``names``.
        names: Names of the job's classes.
        field: Path of the data source in the manifest, for error messages.
        place: Path or name of the data, for error messages.

    Raises:
        InputError: a class with samples is not in ``names``, or a label is no number of a class.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return labels
    low, high, known = int(labels.min()), int(labels.max()), names if own is None else own
    if low < 0 or high >= len(known):
        raise InputError.at(
            field,
            f"holds the label {low if low < 0 else high} ('{place}'), but the {len(known)} classes "
            f"{listed(known)} have the numbers 0 … {len(known) - 1}",
        )
    if own is None or own == names:
        return labels
    position = {name: number for number, name in enumerate(names)}
    for number in np.unique(labels).tolist():
        if own[number] not in position:
            raise unknown_class(own[number], place, names, field)
    lookup = np.array([position.get(name, -1) for name in own], dtype=np.int64)
    result: Labels = lookup[labels.astype(np.int64, copy=False)]
    return result


def unknown_class(name: str, place: str, names: Sequence[str], field: str) -> InputError:
    """Return the error of data with samples of a class that the job does not know."""
    return InputError.at(
        field,
        f"holds the class '{name}' ('{place}'), which is none of the job's classes, {listed(names)}; rename "
        f"or remove it, or add it to {CLASSES}",
    )


def common_names(found: Iterable[ClassNames | None]) -> ClassNames | None:
    """Return the names of classes that were found in the training data of all clients.

    They must be equal at all clients: a union would change its numbers when a client with a further class
    joins later, or is missing when a run is resumed.

    Returns:
        The names; None if there are none.

    Raises:
        InputError: clients have different names; the message has the union of them.
    """
    different = {names for names in found if names}
    if len(different) > 1:
        raise different_classes(different)
    return different.pop() if different else None


def unnamed_training_classes() -> InputError:
    """Return the error of evaluation data with names of classes where the training data have only numbers."""
    return InputError.at(
        CLASSES,
        "is missing: the evaluation data have names of classes, but the training data only numbers; give the "
        "names in the order of these numbers",
    )


def different_classes(different: Iterable[Sequence[str]]) -> InputError:
    """Return the error of clients with different classes, with the union of their names."""
    union = sorted(set(chain.from_iterable(different)))
    return InputError.at(
        CLASSES,
        "is missing, and clients have different classes; name all of them, in the order of the model's "
        f"outputs: classes: {listed(union, len(union))}",
    )


def listed(names: Sequence[str], limit: int = _NAMES_SHOWN) -> str:
    """Return names as a YAML list; only the first ``limit`` of them."""
    shown = ", ".join(json.dumps(name, ensure_ascii=False) for name in names[:limit])
    return f"[{shown}{', …' if len(names) > limit else ''}]"
