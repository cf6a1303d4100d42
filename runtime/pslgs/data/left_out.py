"""What discovery leaves out of a dataset, and why: reasons, numbers of files and examples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

EXAMPLES: Final = 3
"""Number of files that are named for each reason."""


class Reason(StrEnum):
    """Reasons for which files or samples are left out, as in the metric ``pslgs_data_left_out``."""

    HIDDEN = "hidden"
    SYSTEM = "system"
    UNSUPPORTED_IMAGE = "unsupported_image"
    NOT_AN_IMAGE = "not_an_image"
    OUTSIDE_CLASSES = "outside_classes"
    BROKEN_LINK = "broken_link"
    LINK_CYCLE = "link_cycle"
    NOT_A_FILE = "not_a_file"
    NOT_A_FOLDER = "not_a_folder"
    DAMAGED = "damaged"


_WORDS: Final[Mapping[Reason, tuple[str, str]]] = MappingProxyType(
    {
        Reason.HIDDEN: ("hidden file", "hidden files"),
        Reason.SYSTEM: ("file of an operating system or tool", "files of an operating system or tool"),
        Reason.UNSUPPORTED_IMAGE: (
            "HEIC or raw image, which cannot be read and is to be converted to PNG or JPEG, for example by "
            "'magick mogrify -format png *.heic'",
            "HEIC or raw images, which cannot be read and are to be converted to PNG or JPEG, for example by "
            "'magick mogrify -format png *.heic'",
        ),
        Reason.NOT_AN_IMAGE: ("file that is not an image", "files that are not images"),
        Reason.OUTSIDE_CLASSES: (
            "file outside the folders of classes",
            "files outside the folders of classes",
        ),
        Reason.BROKEN_LINK: ("link that leads nowhere", "links that lead nowhere"),
        Reason.LINK_CYCLE: ("link to a folder that contains it", "links to folders that contain them"),
        Reason.NOT_A_FILE: ("socket, pipe or device", "sockets, pipes or devices"),
        Reason.NOT_A_FOLDER: ("file in place of a client's folder", "files in place of clients' folders"),
        Reason.DAMAGED: ("damaged sample", "damaged samples"),
    }
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files or samples of one dataset that are left out for the same reason.

    Attributes:
        reason: The reason.
        count: Their number.
        examples: Names of at most `EXAMPLES` of them.
    """

    reason: Reason
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        one, several = _WORDS[self.reason]
        more = ", …" if self.count > len(self.examples) else ""
        named = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return f"{self.count:,} {one if self.count == 1 else several}{named}"


class LeftOutCount:
    """Counts what is left out, by reason."""

    def __init__(self) -> None:
        self._counts: dict[Reason, int] = {}
        self._examples: dict[Reason, list[str]] = {}

    def add(self, reason: Reason, name: str, count: int = 1) -> None:
        """Count ``count`` files, of which ``name`` is one or the folder; 0 is ignored."""
        if count:
            self._counts[reason] = self._counts.get(reason, 0) + count
            examples = self._examples.setdefault(reason, [])
            if len(examples) < EXAMPLES:
                examples.append(name)

    def result(self) -> tuple[LeftOut, ...]:
        """Return what was counted, in the order of `Reason`."""
        return tuple(
            LeftOut(reason, self._counts[reason], tuple(self._examples[reason]))
            for reason in Reason
            if reason in self._counts
        )


def in_words(counts: Mapping[str, int]) -> str:
    """Describe numbers by reason, as `counts_by_reason` returns them."""
    known = set(Reason)
    return ", ".join(
        str(LeftOut(Reason(reason), count)) if reason in known else f"{count:,} for other reasons"
        for reason, count in counts.items()
    )


def counts_by_reason(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Sum up the numbers by reason."""
    counts: dict[str, int] = {}
    for each in left_out:
        counts[each.reason.value] = counts.get(each.reason.value, 0) + each.count
    return counts
