"""The paths of data that differ by client: client ids from names of files and folders, and back.

A client id is a DNS name, because it is the name in the client's certificate.  The name of a file or folder
at the place of ``{client}`` becomes an id by putting it into lower case, and replacing spaces and underscores
by hyphens: ``Site_2`` is the client ``site-2``.  A name that is still not a client id is refused.

Wildcards may stand beside the placeholder (``{client}-*.parquet``) and in the folders before it, for formats
whose paths may have them.  They stand for as little as possible: ``a-1-2.parquet`` belongs to ``a-1``.  A
file that the path leads to for several clients is refused.
"""

import glob
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pslgs.data.discovery import unwanted, what_is_missing
from pslgs.data.left_out import LeftOut, LeftOutCount, Reason
from pslgs.identity.identity import is_dns_name
from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER
from pslgs.spec.errors import InputError

_NAME_RULE = (
    "letters a-z, digits, '-' and '.' that start and end with a letter or digit; capitals count as small "
    "letters, and spaces and '_' as '-'"
)
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Sites:
    """The clients whose data a path with ``{client}`` leads to.

    Attributes:
        names: Client id -> name in the path; sorted by id.
        left_out: Files and folders at that place that are no client's.
    """

    names: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def renamed(self) -> Mapping[str, str]:
        """The clients whose ids differ from their names."""
        return {client: name for client, name in self.names.items() if client != name}


def client_id_of(name: str) -> str:
    """Return the client id that a name in a path stands for; it may still not be a valid one."""
    return re.sub(r"[\s_]", "-", unicodedata.normalize("NFC", name).lower())


def find_sites(pattern: str, field: str, *, in_folders: bool = False, wildcards: bool = False) -> Sites:
    """Find the clients whose data a path with ``{client}`` leads to.

    Args:
        pattern: The path, absolute or relative to the working folder.
        field: Path of the pattern in the manifest, for error messages.
        in_folders: Whether each client's data are a folder; otherwise they may be a file.
        wildcards: Whether the path may have wildcards.

    Raises:
        InputError: a name cannot become a client id, two names become the same, or a file belongs to several.
    """
    left_out = LeftOutCount()
    found: dict[str, list[str]] = {}
    folder, part, rest = _split(pattern)
    entries: list[Path] = []
    has_wildcards = wildcards and _has_wildcards(pattern)
    for entry, name in _matches(pattern) if has_wildcards else _entries(pattern):
        reason = unwanted(entry.name) if unwanted(name) is None else unwanted(name)
        if reason is None and (rest or in_folders) and not entry.is_dir():
            reason = Reason.NOT_A_FOLDER
        if reason is not None:
            left_out.add(reason, entry.name)
            continue
        entries.append(entry)
        names = found.setdefault(client_id_of(name), [])
        if name not in names:
            names.append(name)
    _check_names(found, folder, field)
    if has_wildcards:
        _check_owners(entries, part, [names[0] for names in found.values()], field)
    return Sites({client: found[client][0] for client in sorted(found)}, left_out.result())


def no_client_here(pattern: str) -> str:
    """Return that a path with ``{client}`` leads to no client's data, and why, as a clause."""
    folder, part, _ = _split(pattern)
    return f"there are no data at {pattern} here: {what_is_missing(str(folder / part))}"


def is_path(text: str) -> bool:
    """Return whether a text in the options of a Custom dataset counts as a path: it has a slash."""
    return "/" in text


def path_of_client(pattern: str, client: str) -> str:
    """Return a path with ``{client}`` replaced by the client's id, or by the name that stands for it."""
    literal = pattern.replace(CLIENT_PLACEHOLDER, client)
    if CLIENT_PLACEHOLDER not in pattern or _exists(_first_part(pattern, client)):
        return literal
    _, _, rest = _split(pattern)
    for entry, name in _entries(pattern):
        if client_id_of(name) == client:
            return str(Path(entry, *(part.replace(CLIENT_PLACEHOLDER, name) for part in rest)))
    for _, name in _matches(pattern) if _has_wildcards(pattern) else ():
        if client_id_of(name) == client:
            return pattern.replace(CLIENT_PLACEHOLDER, name)
    return literal


def _split(pattern: str) -> tuple[Path, str, tuple[str, ...]]:
    """Divide a path into the folder before the placeholder's part, that part, and the parts after it."""
    parts = Path(os.path.expanduser(pattern)).parts
    depth = next(i for i, part in enumerate(parts) if CLIENT_PLACEHOLDER in part)
    return Path(*parts[:depth]), parts[depth], parts[depth + 1 :]


def _has_wildcards(pattern: str) -> bool:
    folder, part, _ = _split(pattern)
    return glob.has_magic(str(folder)) or glob.has_magic(part)


def _matches(pattern: str) -> Iterator[tuple[Path, str]]:
    """Yield what fits a path with wildcards, up to the placeholder's part, and the name at its place."""
    folder, part, _ = _split(pattern)
    literals = part.split(CLIENT_PLACEHOLDER)
    form = _form(literals[0]) + "(.+)" + r"\1".join(map(_form, literals[1:]))
    wild = str(folder / part.replace(CLIENT_PLACEHOLDER, "*"))
    for entry in map(Path, sorted(glob.glob(wild, recursive=True, include_hidden=True))):
        match = re.fullmatch(form, entry.name, re.DOTALL)
        if match is not None:
            yield entry, match[1]


def _form(literal: str) -> str:
    """Return a regular expression for a text with wildcards, which stand for as little as possible."""
    tokens = re.split(r"(\*|\?|\[[^\]]+\])", literal)
    return "".join(_WILDCARDS.get(each, _set_or_text(each)) for each in tokens)


_WILDCARDS = {"*": ".*?", "?": "."}


def _set_or_text(token: str) -> str:
    if not (token.startswith("[") and token.endswith("]") and len(token) > 2):
        return re.escape(token)
    inner = token[1:-1].replace("\\", r"\\")
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"


def _entries(pattern: str) -> Iterator[tuple[Path, str]]:
    """Yield the entries that fit the part with the placeholder, and the name at its place, sorted.

    Capitals and the normal form of Unicode make no difference.
    """
    folder, part, _ = _split(pattern)
    literals = unicodedata.normalize("NFC", part).split(CLIENT_PLACEHOLDER)
    form = re.escape(literals[0]) + "(.+?)" + r"\1".join(map(re.escape, literals[1:]))
    for entry in sorted(os.listdir(folder)) if folder.is_dir() else []:
        match = re.fullmatch(form, unicodedata.normalize("NFC", entry), re.IGNORECASE | re.DOTALL)
        if match is not None:
            yield folder / entry, match[1]


def _first_part(pattern: str, client: str) -> str:
    folder, part, _ = _split(pattern)
    return str(folder / part.replace(CLIENT_PLACEHOLDER, client))


def _exists(path: str) -> bool:
    return os.path.lexists(path) or (glob.has_magic(path) and bool(glob.glob(path)))


def _check_names(found: Mapping[str, list[str]], folder: Path, field: str) -> None:
    invalid = [name for client, names in found.items() if not is_dns_name(client) for name in names]
    if invalid:
        raise InputError.at(
            field,
            f"leads to {_listed(invalid)} in '{folder}', which cannot be names of clients; rename them to "
            f"{_NAME_RULE}",
        )
    for client, names in found.items():
        if len(names) > 1:
            raise InputError.at(
                field,
                f"leads to {_listed(names)} in '{folder}', which are all the client '{client}'; rename one",
            )


def _check_owners(entries: Iterable[Path], part: str, names: Iterable[str], field: str) -> None:
    """Refuse a file that the path leads to for several clients: its samples would be drawn several times."""
    patterns = {name: part.replace(CLIENT_PLACEHOLDER, name) for name in names}
    for entry in entries:
        owners = [
            name for name, wild in patterns.items() if name in entry.name and fnmatchcase(entry.name, wild)
        ]
        if len(owners) > 1:
            raise InputError.at(
                field,
                f"leads to '{entry}' for several clients ({_listed(owners)}), because a wildcard stands for "
                "any text; give each client a folder of its own, or write more of the names of the files",
            )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more
