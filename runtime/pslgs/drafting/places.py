"""Where the data below a folder are: their format, and the path that leads to those of each client."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from pslgs.data.client_paths import find_sites
from pslgs.data.discovery import Walk
from pslgs.data.image_files import is_image
from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER
from pslgs.spec.data import DataFormat
from pslgs.spec.errors import InputError

DATA: Final = "DATA"
"""Name of the argument, for error messages."""
TABLES: Final = frozenset({DataFormat.PARQUET, DataFormat.CSV})

_TRAINING: Final = ("train", "training")
_EVALUATION: Final = ("val", "valid", "validation", "eval", "evaluation", "dev", "test", "testing")
"""Names of the evaluation data; the first that is found is taken."""
_ROLES: Final = "|".join((*_TRAINING, *_EVALUATION))
_ROLE: Final = re.compile(rf"(?:(?P<before>.+)[-_. ])?(?P<role>{_ROLES})(?:[-_. ]?\d.*)?", re.IGNORECASE)
"""Names of files, without their suffix: ``train``, ``train-00000-of-00005``, ``site-1_train``."""
_ROLE_OF_FOLDER: Final = re.compile(rf"(?P<role>{_ROLES})", re.IGNORECASE)
_SHARD: Final = re.compile(r"(?:part|shard|chunk|file|data|batch|train|training)?[-_. ]*\d+.*", re.IGNORECASE)
"""Names of files that are parts of one dataset, such as ``part-0`` and ``00000-of-00005``."""
_DEPTH: Final = 6


@dataclass(frozen=True, slots=True)
class Places:
    """Where the data are.

    Attributes:
        format: Format of the samples.
        train: Path of the training data, as in a manifest.
        evaluation: Path of the evaluation data; None if there are none.
        clients: Ids of the clients that the path leads to; empty if it is the same for all.
    """

    format: DataFormat
    train: str
    evaluation: str | None = None
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unit:
    """One dataset as its format reads it: a file, or a folder.

    Attributes:
        format: Format of the samples.
        parts: Names of the folders below the given one, and of the file.
    """

    format: DataFormat
    parts: tuple[str, ...]


def find_places(data: str, wanted: DataFormat | None = None) -> Places:
    """Find the data at a path.

    Args:
        data: A folder, in which data are searched for; or the path of the training data as in a manifest,
            with ``{client}`` or wildcards, or of a single file.
        wanted: Format of the data; None if it has to be recognised.

    Raises:
        InputError: there are no data, or they are in several formats, or in no order that a path describes.
    """
    folder = Path(data).expanduser()
    if CLIENT_PLACEHOLDER in data or not folder.is_dir():
        return _named_by_client(Places(wanted or _format_of(data), data))
    units = list(_units(folder))
    formats = sorted({each.format for each in units})
    if wanted is None and len(formats) > 1:
        raise InputError.at(DATA, f"is '{data}', which holds data of {' and '.join(formats)}; give --format")
    chosen = wanted or next(iter(formats), None)
    found = [each for each in units if each.format is chosen]
    if chosen is None or not found:
        raise InputError.at(
            DATA,
            f"is '{data}', in which no {chosen or 'data'} can be found: a folder of images for each class, "
            "Parquet or CSV files, .npz files, or folders with x.npy and y.npy",
        )
    of_training, of_evaluation = _by_role(found)
    train = _path(data, of_training)
    evaluation = _path(data, of_evaluation) if of_evaluation else None
    if evaluation and CLIENT_PLACEHOLDER in evaluation and CLIENT_PLACEHOLDER not in train:
        evaluation = None
    return _named_by_client(Places(chosen, train, evaluation))


def _named_by_client(places: Places) -> Places:
    if CLIENT_PLACEHOLDER not in places.train:
        return places
    sites = find_sites(
        places.train,
        DATA,
        in_folders=places.format is DataFormat.IMAGE_FOLDER,
        wildcards=places.format in TABLES,
    )
    if not sites.names:
        raise InputError.at(DATA, f"is '{places.train}', which leads to the data of no client")
    return Places(places.format, places.train, places.evaluation, tuple(sites.names))


_FORMATS: Final = {
    ".parquet": DataFormat.PARQUET,
    ".csv": DataFormat.CSV,
    ".tsv": DataFormat.CSV,
    ".csv.gz": DataFormat.CSV,
    ".npz": DataFormat.NUMPY,
}


def _format_of(path: str) -> DataFormat:
    """Return the format that the end of a path says."""
    found = _format_of_name(path.lower())
    if found is None and not Path(path).expanduser().exists() and CLIENT_PLACEHOLDER not in path:
        raise InputError.at(DATA, f"is '{path}', which does not exist")
    if found is None:
        raise InputError.at(DATA, f"is '{path}', which does not say its format; give --format")
    return found


def _format_of_name(name: str) -> DataFormat | None:
    return next((each for suffix, each in _FORMATS.items() if name.lower().endswith(suffix)), None)


def _units(root: Path) -> Iterator[_Unit]:
    walk = Walk(root, DATA)
    of_images: list[tuple[str, ...]] = []
    yield from _files(walk, root, (), of_images)
    for parts in _image_folders(of_images):
        yield _Unit(DataFormat.IMAGE_FOLDER, parts)


def _files(
    walk: Walk, folder: Path, parts: tuple[str, ...], of_images: list[tuple[str, ...]]
) -> Iterator[_Unit]:
    """Yield the tables and arrays below a folder, and collect the folders that hold images."""
    folders, others = walk.children(folder)
    names = {each.name for each in others}
    if {"x.npy", "y.npy"} <= names:
        yield _Unit(DataFormat.NUMPY, parts)
    for path in others:
        kind = _format_of_name(path.name)
        if kind is not None:
            yield _Unit(kind, (*parts, path.name))
    if any(map(is_image, others)):
        of_images.append(parts)
    for each in folders if len(parts) < _DEPTH else ():
        yield from _files(walk, each, (*parts, each.name), of_images)


def _image_folders(of_images: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the folders whose subfolders are classes, given all folders that hold images.

    Classes are on the lowest level that all images are below, unless no class is then in two folders: names
    that do not repeat are those of patients or series within a class.
    """
    level = min((len(parts) for parts in of_images), default=0)
    if not level:
        return []
    above = {parts[: level - 1] for parts in of_images}
    classes = {parts[:level] for parts in of_images}
    if len(above) > 1 and len({parts[-1] for parts in classes}) == len(classes) and not _are_parts(above):
        above = {parts[:-1] for parts in above}
    return sorted(above)


def _are_parts(folders: set[tuple[str, ...]]) -> bool:
    """Return whether folders have names such as ``train``, which are not those of classes."""
    return all(parts and _ROLE_OF_FOLDER.fullmatch(parts[-1]) for parts in folders)


def _by_role(units: Sequence[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
    """Divide datasets into those for training and those for evaluation, by their names."""
    by_role: dict[str, list[_Unit]] = {}
    for unit in units:
        by_role.setdefault(_role(unit), []).append(unit)
    train = [unit for role in _TRAINING for unit in by_role.get(role, ())] or by_role.get("")
    if train is None:
        return list(units), []
    return train, next((by_role[role] for role in _EVALUATION if role in by_role), [])


def _role(unit: _Unit) -> str:
    """Return what a dataset is for, as its file or the innermost folder says; empty if none does."""
    folders = unit.parts[:-1] if _format_of_name(unit.parts[-1] if unit.parts else "") else unit.parts
    names = [_ROLE.fullmatch(_stem(name)) for name in unit.parts[len(folders) :]]
    names += [_ROLE_OF_FOLDER.fullmatch(name) for name in reversed(folders)]
    return next((match["role"].lower() for match in names if match), "")


def _stem(name: str) -> str:
    suffix = next((each for each in _FORMATS if name.lower().endswith(each)), "")
    return name[: len(name) - len(suffix)]


def _path(data: str, units: Sequence[_Unit]) -> str:
    """Return the path that leads to datasets, with ``{client}`` and ``*`` where they differ.

    Raises:
        InputError: their names differ at more places.
    """
    if len({len(unit.parts) for unit in units}) > 1:
        raise _no_order(data, units)
    columns = list(zip(*(unit.parts for unit in units), strict=True))
    differing = [i for i, names in enumerate(columns) if len(set(names)) > 1]
    parts = [names[0] for names in columns]
    is_table = units[0].format in TABLES
    if is_table and differing and differing[-1] == len(parts) - 1:
        names = columns[-1]
        if len(differing) > 1 or all(_SHARD.fullmatch(_stem(name)) for name in names):
            parts[-1] = f"{_common_start(names)}*{_suffix(names[0])}"
            del differing[-1]
    if len(differing) > 1:
        raise _no_order(data, units)
    for i in differing:
        parts[i] = _placeholder(columns[i])
    return str(Path(data, *parts))


def _suffix(name: str) -> str:
    return name[len(_stem(name)) :]


def _common_start(names: Sequence[str]) -> str:
    """Return what all names begin with, without digits at its end."""
    first, last = _stem(min(names)), _stem(max(names))
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(one for one, _ in same).rstrip("0123456789")


def _placeholder(names: Sequence[str]) -> str:
    """Return the pattern of names that differ by client, with the role and suffix that all have."""
    stems = [_stem(name) for name in names]
    matches = [_ROLE.fullmatch(stem) for stem in stems]
    ends = {
        stem[len(match["before"]) :] if match and match["before"] else ""
        for stem, match in zip(stems, matches, strict=True)
    }
    return f"{CLIENT_PLACEHOLDER}{ends.pop() if len(ends) == 1 else ''}{_suffix(names[0])}"


def _no_order(data: str, units: Sequence[_Unit]) -> InputError:
    shown = ", ".join(f"'{Path(*unit.parts)}'" for unit in units[:4])
    more = f" and {len(units) - 4:,} more" if len(units) > 4 else ""
    example = Path(data, CLIENT_PLACEHOLDER, "train")
    return InputError.at(
        DATA,
        f"is '{data}', in which {shown}{more} are in no common order; give the path of the training data "
        f"instead, with {CLIENT_PLACEHOLDER} where the names of clients are, such as '{example}'",
    )
