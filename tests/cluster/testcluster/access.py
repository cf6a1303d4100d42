"""An API server as tests see it: one of their own, or that of an existing cluster."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.testcluster import binaries, claims, controlplane, lifecycle
from cluster.testcluster.audit import AuditLog, Request
from cluster.testcluster.direct import Direct, direct
from cluster.testcluster.kubectl import Kubectl
from cluster.testcluster.layout import BIN, IPV4, Family, Instance
from cluster.testcluster.process import ClusterError, wait_until

EXISTING = "PSLGS_TEST_KUBECONFIG"
"""The variable that names the kubeconfig of a cluster to use."""

_NOT_BUILT = (
    "no Kubernetes is built here: run `make cluster` (needs Go; 5 minutes),"
    f" or name the kubeconfig of an existing cluster in {EXISTING}"
)


class UnavailableError(Exception):
    """What a test needs is not at hand; the text says what and how to get it."""


def _is_established(definition: Mapping[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or ()
    return ("Established", "True") in ((each["type"], each["status"]) for each in conditions)


@dataclass(frozen=True, slots=True)
class ApiServer:
    """An API server with controllers, of which the administrator's kubeconfig is known."""

    kubeconfig: Path
    kubectl: Path
    instance: Instance | None = None  # none: an existing cluster, which is not ours to take apart

    @property
    def run(self) -> Kubectl:
        """kubectl as the administrator: ``run("get", "pods")``, ``run.json(…)``, ``run.apply(…)``."""
        return Kubectl(self.kubectl, self.kubeconfig)

    @property
    def direct(self) -> Direct:
        """The API as the administrator, without kubectl."""
        return direct(self.kubeconfig)

    def wait_for_kinds(self, seconds: float = 60) -> None:
        """Wait until the kinds of all custom resource definitions are served.

        `kubectl wait` fails instead of waiting while a definition has no conditions yet.

        Raises:
            ClusterError: one is not served after ``seconds``.
        """
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

        def are_served() -> bool:
            found = self.direct.get(path) or {"items": []}
            return all(map(_is_established, found["items"]))

        wait_until(are_served, "the kinds of custom resources", seconds)

    def mark(self) -> int:
        """A point in time, for ``requests`` and ``count_requests``."""
        return self._audit_log().mark()

    def requests(self, since: int = 0) -> list[Request]:
        """The requests that were answered after a ``mark``, oldest first.

        Raises:
            ClusterError: this is an existing cluster.
        """
        return list(self._audit_log().requests(since))

    def count_requests(self, since: int = 0) -> Counter[tuple[str, str, str]]:
        """How many requests were answered after a ``mark``, by user, verb and resource."""
        return Counter((one.user, one.verb, one.resource) for one in self.requests(since))

    def kubeconfig_of(self, user: str, *groups: str) -> Path:
        """Write a kubeconfig for a user, who may do what RBAC says.

        Raises:
            ClusterError: this is an existing cluster.
        """
        instance = self.own()
        path = instance.state / "users" / f"{user.replace(':', '-')}.kubeconfig"
        return controlplane.authority(instance).write_kubeconfig(
            path, controlplane.local_url(instance), user, groups
        )

    def restart(self, component: str = "kube-apiserver") -> None:
        """End a process of the control plane, start it again, and wait until the API server is ready.

        Raises:
            ClusterError: this is an existing cluster.
        """
        lifecycle.restart(self.own(), component)

    def own(self) -> Instance:
        """The instance of the harness.

        Raises:
            ClusterError: this is an existing cluster.
        """
        if self.instance is None:
            raise ClusterError("an existing cluster is not ours to look into or to take apart")
        return self.instance

    def _audit_log(self) -> AuditLog:
        return AuditLog(self.own().audit_log)


@contextmanager
def api_server(environ: Mapping[str, str] = os.environ) -> Iterator[ApiServer]:
    """Use the cluster that the environment names, or start an API server of our own and end it afterwards.

    Raises:
        UnavailableError: neither can be had.
        ClusterError: it did not start.
    """
    if kubeconfig := environ.get(EXISTING):
        yield ApiServer(Path(kubeconfig), any_kubectl())
        return
    with own_instance() as instance:
        lifecycle.up(instance)
        yield ApiServer(instance.kubeconfig, BIN / "kubectl", instance)


@contextmanager
def own_instance(family: Family = IPV4) -> Iterator[Instance]:
    """Take a free instance, and end whatever runs in it afterwards.

    Raises:
        UnavailableError: what would run in it is not built.
    """
    if not binaries.are_built():
        raise UnavailableError(_NOT_BUILT)
    instance, abandoned = claims.claim(family)
    try:
        if abandoned:
            lifecycle.down(instance)
        yield instance
    finally:
        lifecycle.down(instance)
        claims.release(instance)


def any_kubectl() -> Path:
    """Where kubectl lies.

    Raises:
        UnavailableError: it does not.
    """
    found = shutil.which("kubectl") or shutil.which(BIN / "kubectl")
    if found is None:
        raise UnavailableError("kubectl is missing: install it, or run `make cluster`")
    return Path(found)
