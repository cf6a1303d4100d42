"""Leases of nodes without kubelets: the node controller takes a node for lost whose lease is not renewed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

_NAMESPACE = "kube-node-lease"


@dataclass(slots=True)
class Leases:
    """Renewed every second, for all nodes that were named."""

    api: client.CoordinationV1Api
    _nodes: set[str] = field(default_factory=set)
    _end: threading.Event = field(default_factory=threading.Event)

    def keep(self, node: str) -> None:
        """Renew the node's lease from now on."""
        spec = client.V1LeaseSpec(
            holder_identity=node, lease_duration_seconds=40, renew_time=datetime.now(UTC)
        )
        lease = client.V1Lease(metadata=client.V1ObjectMeta(name=node, namespace=_NAMESPACE), spec=spec)
        self.api.create_namespaced_lease(_NAMESPACE, lease)
        self._nodes.add(node)

    def run(self) -> None:
        """Renew until told to stop."""
        while not self._end.wait(1.0):
            for node in list(self._nodes):
                # While the API server restarts, a kubelet tries again as well.
                with suppress(HTTPError, ApiException):
                    self._renew(node)

    def _renew(self, node: str) -> None:
        renewal = {"spec": {"renewTime": datetime.now(UTC).isoformat()}}
        self.api.patch_namespaced_lease(node, _NAMESPACE, renewal)

    def stop(self) -> None:
        """Renew nothing any more."""
        self._end.set()


@contextmanager
def leases(kubeconfig: Path) -> Iterator[Leases]:
    """Renew leases until it is left."""
    with config.new_client_from_config(str(kubeconfig)) as connection:  # type: ignore[no-untyped-call] # theirs
        kept = Leases(client.CoordinationV1Api(connection))
        thread = threading.Thread(target=kept.run)
        thread.start()
        try:
            yield kept
        finally:
            kept.stop()
            thread.join()
