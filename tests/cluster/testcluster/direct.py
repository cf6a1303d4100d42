"""Requests to an API server from this process.

Starting kubectl takes a tenth of a second of computing, which is most of what a short test needs and all of
what polling needs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes import client, config

from cluster.testcluster.process import ClusterError

_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Direct:
    """An API server, as the user of one kubeconfig."""

    api: client.ApiClient

    def get(self, path: str, selector: str = "") -> dict[str, Any] | None:
        """Return an object, or a list of those that a label selector selects; None if there is none."""
        return self._request("GET", path, selector=selector)

    def create(self, path: str, body: Mapping[str, Any]) -> None:
        """Create an object in the collection at a path."""
        self._request("POST", path, body)

    def merge(self, path: str, patch: Mapping[str, Any]) -> None:
        """Merge a patch into what is at a path."""
        self._request("PATCH", path, patch, content=_MERGE_PATCH)

    def delete(self, path: str, selector: str = "") -> None:
        """Delete an object, or what a label selector selects, if it is there; don't wait for its end."""
        self._request("DELETE", path, selector=selector)

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = _JSON,
        selector: str = "",
    ) -> dict[str, Any] | None:
        serialized = self.api.param_serialize(
            method,
            path,
            query_params=[("labelSelector", selector)] if selector else [],
            header_params={"Accept": _JSON, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self.api.call_api(*serialized)
        answer = response.read() or b"{}"  # type: ignore[no-untyped-call] # theirs
        if response.status == HTTPStatus.NOT_FOUND and method in {"GET", "DELETE"}:
            return None
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise ClusterError(f"{method} {path}: {answer.decode()}")
        found: dict[str, Any] = json.loads(answer)
        return found


def direct(kubeconfig: Path) -> Direct:
    """Return what sends requests as the user of a kubeconfig; its connections are kept open."""
    return _direct(kubeconfig, kubeconfig.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _direct(kubeconfig: Path, _written: int) -> Direct:
    return Direct(config.new_client_from_config(str(kubeconfig)))  # type: ignore[no-untyped-call] # theirs
