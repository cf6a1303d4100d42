"""The termination message of a container: exit code, message and final figures."""

import json
import logging
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pslgs.spec.exit_codes import ExitCode

LIMIT_BYTES = 4096
"""Maximum size of a termination message in Kubernetes."""

_ELLIPSIS = " …"
_logger = logging.getLogger(__name__)


class ExitStatus(NamedTuple):
    """Exit code of a process, and the reason in a sentence."""

    exit_code: ExitCode
    message: str

    def to_json(self) -> dict[str, object]:
        """Return the fields ``exitCode`` and ``message`` of a termination message."""
        return {"exitCode": int(self.exit_code), "message": self.message}


_UNKNOWN = ExitStatus(ExitCode.INTERNAL_ERROR, "the process ended without giving a reason")


@dataclass(slots=True)
class TerminationMessage:
    """The termination message of this process, whose attributes are set while it runs.

    Attributes:
        exit_status: Exit code and reason.
        describe: Function that returns the fields of the message; they include ``exitCode`` and
            ``message``.
    """

    exit_status: ExitStatus = _UNKNOWN
    describe: Callable[[ExitStatus], Mapping[str, object]] = ExitStatus.to_json

    def encode(self) -> bytes:
        """Return the termination message as JSON; the reason is shortened to fit into `LIMIT_BYTES`."""
        whole = _encode(self.describe(self.exit_status))
        if len(whole) <= LIMIT_BYTES:
            return whole
        lengths = range(len(self.exit_status.message) + 1)
        too_long = bisect_right(lengths, LIMIT_BYTES, key=lambda length: len(self._encode_shortened(length)))
        return self._encode_shortened(max(0, too_long - 1))

    def _encode_shortened(self, length: int) -> bytes:
        message = self.exit_status.message[:length] + _ELLIPSIS
        return _encode(self.describe(self.exit_status._replace(message=message)))

    def write_to(self, path: Path) -> None:
        """Write the termination message to a file; if that fails, log a warning."""
        try:
            path.write_bytes(self.encode())
        except OSError as error:
            _logger.warning("the termination message could not be written to %s: %s", path, error.strerror)


def _encode(fields: Mapping[str, object]) -> bytes:
    # The reason may quote a path that is not valid Unicode.
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode(errors="replace")
