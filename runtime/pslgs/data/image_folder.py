"""Images in one folder per class."""

from pathlib import Path

from torch import Tensor

from pslgs.data.files import existing_folder
from pslgs.data.images import decode
from pslgs.data.source import checked_labels
from pslgs.spec.errors import InputError
from pslgs.spec.source import DataSource

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageFolderSource:
    """Image files, opened and decoded when they are asked for."""

    def __init__(
        self, files: tuple[Path, ...], labels: list[int], class_names: tuple[str, ...], field: str
    ) -> None:
        self.labels = checked_labels(labels, field)
        self.class_names = class_names
        self._files = files
        self._field = field

    def __len__(self) -> int:
        return len(self._files)

    def load(self, index: int) -> Tensor:
        """Read and decode one file; uint8, shape (3, height, width).

        Raises:
            InputError: the file is damaged or gone.
        """
        file = self._files[index]
        try:
            return decode(file.read_bytes())
        except (ValueError, OSError) as error:
            raise InputError.at(self._field, f"holds '{file}', a damaged image: {error}") from error


def open_image_folder(source: DataSource, field: str) -> ImageFolderSource:
    """List the images below the folders of ``source.path``, each named as a class.

    Classes are numbered as ``source.classes`` lists them, otherwise by sorted folder name; the list is
    needed where clients hold different classes, so that all number them alike.

    Raises:
        InputError: no such folder, no images, or a folder that is no listed class.
    """
    root = existing_folder(source.path or "", f"{field}.path")
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    class_names = tuple(source.classes) if source.classes else tuple(folders)
    unlisted = [name for name in folders if name not in class_names]
    if unlisted:
        raise InputError.at(
            f"{field}.classes",
            f"does not list '{unlisted[0]}', a folder in '{root}'; add it, or take the folder away",
        )
    found = [(file, class_names.index(folder)) for folder in folders for file in _images_below(root / folder)]
    if not found:
        raise InputError.at(
            f"{field}.path", f"is '{root}', which holds no images in folders named as classes"
        )
    return ImageFolderSource(
        tuple(file for file, _ in found), [label for _, label in found], class_names, field
    )


def _images_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
