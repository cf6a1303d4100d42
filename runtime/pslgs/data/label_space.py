"""The label space of a job: its classes by name, and their numbers in all training and evaluation data."""

import copy
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, takewhile
from typing import Final, Protocol

import numpy as np

from pslgs.data.source import Labels, Source
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

CLASSES: Final = "spec.data.classes"
_NAMES_SHOWN: Final = 20
_DIFFERENCES_SHOWN: Final = 5
_CLIENTS_SHOWN: Final = 5
_SHORTEST_MISSPELT: Final = 4
"""Number of characters from which a name may be another one with a wrong letter."""

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
        f"or remove it, or add it to {CLASSES}{nearest(name, names)}",
    )


class Labelled(Protocol):
    """The samples of a client: its id, their labels and the names of their classes."""

    @property
    def client_id(self) -> str:
        """Id of the client."""
        ...

    @property
    def labels(self) -> Labels:
        """The label of each sample."""
        ...

    @property
    def class_names(self) -> ClassNames | None:
        """The name of each class; None where they are unknown."""
        ...


def common_names(clients: Iterable[Labelled]) -> ClassNames | None:
    """Return the names of classes that were found in the training data of all clients.

    They must be equal at all clients: a union would change its numbers when a client with a further class
    joins later, or is missing when a run is resumed.

    Returns:
        The names; None if there are none.

    Raises:
        InputError: clients have different names; the message has the union of them.
    """
    named = [(each.client_id, each.class_names, each.labels) for each in clients if each.class_names]
    if len({names for _, names, _ in named}) > 1:
        raise _different_classes(
            {client: Counter(map(names.__getitem__, labels.tolist())) for client, names, labels in named}
        )
    return named[0][1] if named else None


def _different_classes(counts: Mapping[str, Counter[str]]) -> InputError:
    """Return the error of clients with different classes: who has them, and the union of their names.

    A name that is probably another one, misspelt, is told and not in the union.

    Args:
        counts: Client -> class -> number of its samples.
    """
    union = sorted(set(chain.from_iterable(counts.values())))
    samples = {name: [held[name] for held in counts.values() if name in held] for name in union}
    spread = {name: (len(numbers), sum(numbers)) for name, numbers in samples.items()}
    differing = sorted((name for name in union if len(samples[name]) < len(counts)), key=spread.__getitem__)
    misspelt = {
        name: meant
        for name in differing
        if (meant := _meant(name, [each for each in union if spread[each] > spread[name]]))
    }
    said = "; ".join(
        _quoted(name)
        + _where(name, counts)
        + (f", probably a misspelt {_quoted(misspelt[name])}" if name in misspelt else "")
        for name in differing[:_DIFFERENCES_SHOWN]
    )
    kept = [name for name in union if name not in misspelt]
    return InputError.at(
        CLASSES,
        f"is missing, and clients have different classes: {said}; "
        f"{'correct what is misspelt, or ' if misspelt else ''}name all of them, in the order of the model's "
        f"outputs: classes: {listed(kept, len(kept))}",
    )


def _where(name: str, counts: Mapping[str, Counter[str]]) -> str:
    """Return which clients have samples of a class, or which have none, if these are fewer."""
    having = [f"{client} ({held[name]:,})" for client, held in counts.items() if name in held]
    lacking = [client for client, held in counts.items() if name not in held]
    is_rare = len(having) <= len(lacking)
    clients = having if is_rare else lacking
    more = f" and {len(clients) - _CLIENTS_SHOWN:,} more" if len(clients) > _CLIENTS_SHOWN else ""
    return f" {'only' if is_rare else 'not'} at {', '.join(clients[:_CLIENTS_SHOWN])}{more}"


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _meant(name: str, others: Sequence[str]) -> str | None:
    """Return the name that differs by capitals or by one letter only; None if there is none."""
    return next((other for other in others if _differ_little(name.casefold(), other.casefold())), None)


def _differ_little(one: str, other: str) -> bool:
    if one == other:
        return True
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    rest, others = one[same:], other[same:]
    letters = (rest[:1] + others[:1]).isalpha() and min(len(one), len(other)) >= _SHORTEST_MISSPELT
    return letters and (rest[1:] == others[1:] or rest[1:] == others or rest == others[1:])


def unnamed_training_classes() -> InputError:
    """Return the error of evaluation data with names of classes where the training data have only numbers."""
    return InputError.at(
        CLASSES,
        "is missing: the evaluation data have names of classes, but the training data only numbers; give the "
        "names in the order of these numbers",
    )


def listed(names: Sequence[str], limit: int = _NAMES_SHOWN) -> str:
    """Return names as a YAML list; only the first ``limit`` of them."""
    shown = ", ".join(map(_quoted, names[:limit]))
    return f"[{shown}{', …' if len(names) > limit else ''}]"
