"""Finding of data files: links are followed, and hidden and system files are left out and counted."""

import glob
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pslgs.data.image_files import is_image, is_unsupported_image
from pslgs.data.left_out import LeftOut, LeftOutCount, Reason
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

SYSTEM_NAMES: Final = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@tmp",
        "__macosx",
        "__pycache__",
        "desktop.ini",
        "ehthumbs.db",
        "icon\r",
        "lost+found",
        "recycler",
        "system volume information",
        "thumbs.db",
        "~snapshot",
    }
)
"""Names, in lower case, of files and folders that operating systems, network drives and tools create."""


def unwanted(name: str) -> Reason | None:
    """Return why a file or folder of this name is no data: it is hidden or of a system; None if it may be."""
    if name.startswith("."):
        return Reason.HIDDEN
    return Reason.SYSTEM if name.lower() in SYSTEM_NAMES or name.startswith("~$") else None


class Walk:
    """A search for files below a folder, which counts what it leaves out.

    Links are followed, to files and to folders.  A link to a folder that contains it is left out.
    """

    def __init__(self, root: Path, field: str) -> None:
        """Search below ``root``; ``field`` is its path in the manifest, for error messages."""
        self._root = root
        self._field = field
        self._left_out = LeftOutCount()

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was left out up to now."""
        return self._left_out.result()

    def leave_out(self, reason: Reason, path: Path, count: int = 1) -> None:
        """Count files that the caller leaves out."""
        self._left_out.add(reason, str(path.relative_to(self._root)), count)

    def children(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders and the other entries of ``folder``, sorted, without what is left out.

        Raises:
            InputError: the folder cannot be read.
        """
        folders: list[Path] = []
        others: list[Path] = []
        for path in self._entries(folder):
            reason = unwanted(path.name)
            if reason is not None:
                self.leave_out(reason, path, _file_count(path))
            elif not path.is_dir():
                others.append(path)
            elif path.is_symlink() and _contains(path, folder):
                self.leave_out(Reason.LINK_CYCLE, path)
            else:
                folders.append(path)
        return folders, others

    def files(self, folder: Path) -> Iterator[Path]:
        """Yield the files below ``folder``; broken links are yielded, too.

        Raises:
            InputError: a folder cannot be read.
        """
        folders, others = self.children(folder)
        for path in others:
            if path.is_file() or path.is_symlink():
                yield path
            else:
                self.leave_out(Reason.NOT_A_FILE, path)
        for each in folders:
            yield from self.files(each)

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as error:
            raise InputError.at(
                self._field,
                f"holds '{folder}', which cannot be read ({error.strerror}); check its permissions",
            ) from error


def _contains(link: Path, folder: Path) -> bool:
    """Return whether the folder that a link leads to is ``folder`` or above it, also through other links."""
    target = link.resolve()
    return any(
        _same(target, above) for above in (folder, *folder.parents)
    ) or folder.resolve().is_relative_to(target)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _file_count(path: Path) -> int:
    """Return the number of files below a path that is left out as a whole; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return 1
    return sum(len(files) for _, _, files in os.walk(path))


def _no_sample(path: Path) -> Reason:
    """Return why a file that is no image that can be read is left out."""
    return Reason.UNSUPPORTED_IMAGE if is_unsupported_image(path) else Reason.NOT_AN_IMAGE


@dataclass(frozen=True, slots=True)
class FoundImages:
    """The images below a folder with one subfolder for each class.

    Attributes:
        by_class: Name of a subfolder -> the images below it, sorted; the subfolders are sorted, too.
        left_out: The other files.
    """

    by_class: Mapping[str, Sequence[Path]]
    left_out: tuple[LeftOut, ...]


def find_images(root: Path, field: str) -> FoundImages:
    """Find the images below ``root``; ``field`` is its path in the manifest, for error messages.

    Raises:
        InputError: a folder cannot be read.
    """
    walk = Walk(root, field)
    folders, others = walk.children(root)
    for path in others:
        walk.leave_out(Reason.OUTSIDE_CLASSES if is_image(path) else _no_sample(path), path)
    by_class = {folder.name: _images_below(walk, folder) for folder in folders}
    return FoundImages(by_class, walk.left_out)


def _images_below(walk: Walk, folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in walk.files(folder):
        if is_image(path):
            found.append(path)
        else:
            broken = path.is_symlink() and not path.exists()
            walk.leave_out(Reason.BROKEN_LINK if broken else _no_sample(path), path)
    return sorted(found)


def existing_folder(path: str, field: str) -> Path:
    """Return the folder at ``path``.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(path).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError.at(field, f"is '{path}', which is no folder; name the folder around it")
    if not folder.is_dir():
        raise InputError.at(field, f"is '{path}', which does not exist: {what_is_missing(path)}")
    return folder


def what_is_missing(path: str) -> str:
    """Return which part of a path or pattern leads to nothing, and what is similar to it, as a clause.

    Names of other files are not listed, because a client's error is sent to the server.
    """
    parts = Path(path).expanduser().parts
    depth = next((i for i, _ in enumerate(parts) if not _leads_somewhere(parts[: i + 1])), len(parts) - 1)
    folder, part = Path(*parts[:depth]), parts[depth]
    is_readable = folder.is_dir() and os.access(folder, os.R_OK)
    there = sorted(each.name for each in folder.iterdir()) if is_readable else []
    where = "the working folder" if not folder.parts else f"'{folder}'"
    similar = "" if glob.has_magic(part) else nearest(part, there)
    return f"{where} holds no '{part}'{similar or '; correct the path, or mount the data there'}"


def _leads_somewhere(parts: Sequence[str]) -> bool:
    return bool(glob.glob(str(Path(*parts)), recursive=True, include_hidden=True))


def matching_files(pattern: str, field: str) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """Return the files that match a path or glob pattern, sorted by name, and what is left out of them.

    What a wildcard matches is left out where it is hidden or of a system, unless the pattern asks for names
    that begin with a dot.

    Raises:
        InputError: no file matches, or one is empty, not readable, or a link that leads nowhere.
    """
    expanded = os.path.expanduser(pattern)
    names = sorted(glob.glob(expanded, recursive=True, include_hidden=True))
    fixed = len(_fixed_folder(expanded).parts)
    wants_hidden = any(part.startswith(".") and part != ".." for part in Path(expanded).parts[fixed:])
    left_out = LeftOutCount()
    files = [
        path for path in map(Path, names) if not _left_out(path, fixed, left_out, wants_hidden=wants_hidden)
    ]
    if not files:
        raise _no_match(pattern, field, left_out.result())
    for file in files:
        _check_usable(file, field)
    return files, left_out.result()


def _fixed_folder(pattern: str) -> Path:
    parts = Path(pattern).parts
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:wild])


def _left_out(path: Path, fixed: int, left_out: LeftOutCount, *, wants_hidden: bool) -> bool:
    """Return whether a match is no data file, and count it unless it is a folder."""
    if path.is_dir():
        return True
    reasons = (unwanted(part) for part in path.parts[fixed:])
    reason = next((each for each in reasons if each and not (wants_hidden and each is Reason.HIDDEN)), None)
    if reason is None and _runs_in_a_circle(path, fixed):
        reason = Reason.LINK_CYCLE
    if reason is None and path.exists() and not stat.S_ISREG(path.stat().st_mode):
        reason = Reason.NOT_A_FILE
    if reason is not None:
        left_out.add(reason, path.name)
    return reason is not None


def _runs_in_a_circle(path: Path, fixed: int) -> bool:
    """Return whether a match of ``**`` goes through a link to a folder that contains the link."""
    folders = [Path(*path.parts[:end]) for end in range(fixed, len(path.parts)) if end]
    return any(folder.is_symlink() and _contains(folder, folder.parent) for folder in folders)


def _no_match(pattern: str, field: str, left_out: tuple[LeftOut, ...]) -> InputError:
    if Path(pattern).expanduser().is_dir():
        problem = f"is '{pattern}', which is a folder; name its files, such as '{pattern.rstrip('/')}/*'"
    elif left_out:
        problem = f"is '{pattern}', which matches only {'; '.join(map(str, left_out))}"
    else:
        problem = f"is '{pattern}', which matches no file: {what_is_missing(pattern)}"
    return InputError.at(field, problem)


def _check_usable(file: Path, field: str) -> None:
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: not file.exists(), "which is a link that leads nowhere; copy the file, or remove the link"),
        (lambda: not os.access(file, os.R_OK), "which is not readable; check its permissions"),
        (lambda: file.stat().st_size == 0, "which is empty; copy it again"),
    )
    for fails, problem in checks:
        if fails():
            raise InputError.at(field, f"names '{file}', {problem}")
