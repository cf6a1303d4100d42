"""Folders of images with one subfolder per class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from torch import Tensor

from pslgs.data.decoding import decode
from pslgs.data.discovery import existing_folder, find_images
from pslgs.data.label_space import unknown_class
from pslgs.data.left_out import LeftOut
from pslgs.data.samples import ValueRange
from pslgs.data.source import DamagedSampleError, checked_labels, nfc
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError


class ImageFolderSource:
    """A source over image files, which are read and decoded on access.

    Attributes:
        labels: The class of each image.
        class_names: The name of each class.
        left_out: Files that are not samples.
    """

    is_thread_safe = True
    is_in_memory = False
    has_text_labels = True

    def __init__(  # noqa: PLR0913, PLR0917 - what a source is made of
        self,
        files: tuple[Path, ...],
        labels: list[int],
        class_names: tuple[str, ...],
        field: str,
        value_range: ValueRange | None = None,
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        self.left_out = left_out
        self.labels = checked_labels(labels, field)
        self.class_names: tuple[str, ...] | None = class_names
        self._files = files
        self._field = field
        self._value_range = value_range

    def __len__(self) -> int:
        return len(self._files)

    def load(self, index: int) -> Tensor:
        """Read and decode one image; see `pslgs.data.decoding.decode`.

        Raises:
            DamagedSampleError: the file is damaged or no longer exists.
        """
        file = self._files[index]
        try:
            return decode(file.read_bytes(), self._value_range)
        except InputError:
            raise
        except (ValueError, OSError) as error:
            raise DamagedSampleError.at(self._field, f"holds '{file}', a damaged image: {error}") from error


_SPLITS: Final = frozenset({"test", "testing", "train", "training", "val", "valid", "validation"})
"""Names, in lower case, of folders with parts of a dataset."""


def _check_not_splits(by_class: Mapping[str, Sequence[Path]], root: Path, field: str) -> None:
    """Refuse a dataset of which the folders of all classes are named as its parts.

    Raises:
        InputError: it is one.
    """
    if len(by_class) > 1 and all(name.lower() in _SPLITS for name in by_class):
        listed = ", ".join(f"'{name}'" for name in by_class)
        raise InputError.at(
            field,
            f"is '{root}', whose folders {listed} are parts of a dataset and not classes; name the part, "
            f"such as '{root / next(iter(by_class))}', or the classes in spec.data.classes",
        )


def open_image_folder(
    source: DataSource, field: str, value_range: ValueRange | None = None
) -> ImageFolderSource:
    """Open the images below ``source.path``, where each subfolder holds the images of the class of its name.

    Classes are numbered in the order of the sorted folder names, in Unicode's normal form C.  Links are
    followed, and hidden and system files are left out; see `pslgs.data.discovery`.

    Raises:
        InputError: the folder does not exist, holds no images, or has a subfolder that is not among
            ``source.classes``, if there is that list.
    """
    root = existing_folder(source.path or "", f"{field}.path")
    images = find_images(root, f"{field}.path")
    if not source.classes:
        _check_not_splits(images.by_class, root, f"{field}.path")
    named = dict(zip(images.by_class, nfc([*images.by_class]), strict=True))
    known = nfc(source.classes) if source.classes else None
    unlisted = [folder for folder, name in named.items() if known is not None and name not in known]
    if unlisted:
        raise unknown_class(unlisted[0], str(root / unlisted[0]), known or (), f"{field}.path")
    class_names = tuple(sorted(set(named.values())))
    numbers = {folder: class_names.index(name) for folder, name in named.items()}
    found = [(file, numbers[folder]) for folder, files in images.by_class.items() for file in files]
    if not found:
        others = f"; left out: {', '.join(map(str, images.left_out))}" if images.left_out else ""
        raise InputError.at(
            f"{field}.path", f"is '{root}', which holds no images in folders named as classes{others}"
        )
    return ImageFolderSource(
        tuple(file for file, _ in found),
        [label for _, label in found],
        class_names,
        field,
        value_range,
        images.left_out,
    )
