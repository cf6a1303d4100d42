"""What a process says last: who looks at its container afterwards finds it in the termination message."""

import json
import logging
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pslgs.spec.exit_codes import ExitCode

LIMIT_BYTES = 4096
"""What Kubernetes keeps of a termination message."""

_CUT = " …"
_logger = logging.getLogger(__name__)


class Ending(NamedTuple):
    """How a process ends, and why, in a sentence."""

    exit_code: ExitCode
    message: str

    def to_json(self) -> dict[str, object]:
        """Return the last words of a process that has nothing to add."""
        return {"exitCode": int(self.exit_code), "message": self.message}


_UNSAID = Ending(ExitCode.INTERNAL_ERROR, "the process ended without saying why")


@dataclass(slots=True)
class LastWords:
    """What will be said; whoever knows better in the course of the process replaces it.

    Attributes:
        ending: How the process ends.
        described: Makes the words of an ending; both ``exitCode`` and ``message`` are among them.
    """

    ending: Ending = _UNSAID
    described: Callable[[Ending], Mapping[str, object]] = Ending.to_json

    def encode(self) -> bytes:
        """Return the words as JSON of at most `LIMIT_BYTES`; the message is cut where it has to be."""
        whole = _encode(self.described(self.ending))
        if len(whole) <= LIMIT_BYTES:
            return whole
        lengths = range(len(self.ending.message) + 1)
        too_long = bisect_right(lengths, LIMIT_BYTES, key=lambda length: len(self._cut_to(length)))
        return self._cut_to(max(0, too_long - 1))

    def _cut_to(self, length: int) -> bytes:
        message = self.ending.message[:length] + _CUT
        return _encode(self.described(self.ending._replace(message=message)))

    def leave_at(self, path: Path) -> None:
        """Write them; a file that cannot be written changes nothing about the ending."""
        try:
            path.write_bytes(self.encode())
        except OSError as error:
            _logger.warning("the last words could not be written to %s: %s", path, error.strerror)


def _encode(words: Mapping[str, object]) -> bytes:
    # A message may quote a path whose bytes are no text.
    return json.dumps(words, ensure_ascii=False, allow_nan=False).encode(errors="replace")
