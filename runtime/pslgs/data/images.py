"""Folders of images with one subfolder per class, and files that match a pattern."""

import glob
import os
from pathlib import Path

from torch import Tensor

from pslgs.data.decoding import ValueRange, decode
from pslgs.data.source import checked_labels
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError


def matching_files(pattern: str, field: str) -> list[Path]:
    """Return the files that match a path or glob pattern, sorted by name.

    Raises:
        InputError: no file matches, or one is empty or not readable.
    """
    files = [Path(name) for name in sorted(glob.glob(os.path.expanduser(pattern), recursive=True))]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InputError.at(
            field, f"is '{pattern}', which matches no file; is the data volume mounted there?"
        )
    for file in files:
        if not os.access(file, os.R_OK):
            raise InputError.at(field, f"names '{file}', which is not readable; check its permissions")
        if file.stat().st_size == 0:
            raise InputError.at(field, f"names '{file}', which is empty; copy it again")
    return files


def existing_folder(path: str, field: str) -> Path:
    """Return the folder at ``path``.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError.at(field, f"is '{path}', which is not a folder; is the data volume mounted there?")
    return folder


SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageFolderSource:
    """A source over image files, which are read and decoded on access.

    Attributes:
        labels: The class of each image.
        class_names: The name of each class.
    """

    is_thread_safe = True

    def __init__(
        self,
        files: tuple[Path, ...],
        labels: list[int],
        class_names: tuple[str, ...],
        field: str,
        value_range: ValueRange | None = None,
    ) -> None:
        self.labels = checked_labels(labels, field)
        self.class_names = class_names
        self._files = files
        self._field = field
        self._value_range = value_range

    def __len__(self) -> int:
        return len(self._files)

    def load(self, index: int) -> Tensor:
        """Read and decode one image; see `pslgs.data.decoding.decode`.

        Raises:
            InputError: the file is damaged or no longer exists.
        """
        file = self._files[index]
        try:
            return decode(file.read_bytes(), self._value_range)
        except InputError:
            raise
        except (ValueError, OSError) as error:
            raise InputError.at(self._field, f"holds '{file}', a damaged image: {error}") from error


def open_image_folder(
    source: DataSource, field: str, value_range: ValueRange | None = None
) -> ImageFolderSource:
    """Open the images below ``source.path``, where each subfolder holds the images of the class of its name.

    Classes are numbered in the order of ``source.classes``, or of sorted folder names without that list.
    Clients with different classes need the list, so that all number the classes in the same way.

    Raises:
        InputError: the folder does not exist, holds no images, or has a subfolder that is not in the list.
    """
    root = existing_folder(source.path or "", f"{field}.path")
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    class_names = tuple(source.classes) if source.classes else tuple(folders)
    unlisted = [name for name in folders if name not in class_names]
    if unlisted:
        raise InputError.at(
            f"{field}.classes",
            f"does not list '{unlisted[0]}', a folder in '{root}'; add it, or remove the folder",
        )
    found = [(file, class_names.index(folder)) for folder in folders for file in _images_below(root / folder)]
    if not found:
        raise InputError.at(
            f"{field}.path", f"is '{root}', which holds no images in folders named as classes"
        )
    return ImageFolderSource(
        tuple(file for file, _ in found), [label for _, label in found], class_names, field, value_range
    )


def _images_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
