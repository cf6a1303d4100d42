"""Counting requests: the API server's audit log says who asked for what."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server."""

    at: datetime
    user: str
    agent: str  # the program's name for itself
    verb: str  # get, list, watch, create, update, patch, delete …
    resource: str  # plural, with a subresource behind a slash; empty for other paths
    namespace: str
    name: str
    code: int  # HTTP status; of a watch, 200 once it has started


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The requests that an API server has answered."""

    file: Path

    def mark(self) -> int:
        """A point in time, for ``requests``."""
        return self.file.stat().st_size if self.file.exists() else 0

    def requests(self, since: int = 0) -> Iterator[Request]:
        """The requests after a ``mark``, oldest first; a watch counts once, when it starts."""
        if not self.file.exists():
            return
        with self.file.open("rb") as log:
            log.seek(since)
            for line in log:
                event = json.loads(line) if line.endswith(b"\n") else {}
                if event and not (event["verb"] == "watch" and event["stage"] == "ResponseComplete"):
                    yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    target = event.get("objectRef", {})
    parts = [target[part] for part in ("resource", "subresource") if part in target]
    return Request(
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        user=event["user"]["username"],
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        resource="/".join(parts),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
    )
