"""A job on a cluster: its object, its pods, and the template of its server."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pslgs.cluster.access import Access, NotFoundError, pods_path
from pslgs.spec.child_names import (
    CLIENT_ANNOTATION,
    GROUP,
    JOB_LABEL,
    PLURAL,
    ROLE_LABEL,
    SERVER,
    VERSION,
)
from pslgs.spec.errors import InputError

HTTP_PORT_NAME: Final = "http"


@dataclass(frozen=True)
class Pod:
    """A pod of a job.

    Attributes:
        document: The pod's object.
    """

    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the pod."""
        return str(self.document["metadata"]["name"])

    @property
    def created(self) -> str:
        """Time at which the pod was created, as text that sorts by time."""
        return str(self.document["metadata"].get("creationTimestamp", ""))

    @property
    def role(self) -> str:
        """``server`` or ``client``, which is also the name of the container."""
        return str(self.document["metadata"].get("labels", {}).get(ROLE_LABEL, ""))

    @property
    def who(self) -> str:
        """Whose pod it is: ``server``, or the id of a client."""
        annotations = self.document["metadata"].get("annotations", {})
        return SERVER if self.role == SERVER else str(annotations.get(CLIENT_ANNOTATION, self.name))

    @property
    def node(self) -> str:
        """Name of the node; empty before the pod is scheduled."""
        return str(self.document["spec"].get("nodeName", ""))

    @property
    def spec(self) -> Mapping[str, Any]:
        """The pod's spec."""
        spec: Mapping[str, Any] = self.document["spec"]
        return spec

    @property
    def has_started(self) -> bool:
        """Whether the main container runs or has run, so that it has a log."""
        return bool(self._state.keys() & {"running", "terminated"})

    @property
    def is_running(self) -> bool:
        """Whether the main container runs."""
        return "running" in self._state and "deletionTimestamp" not in self.document["metadata"]

    @property
    def http_port(self) -> int | None:
        """Port of metrics and status; None if the pod has none."""
        ports = [port for each in self.spec["containers"] for port in each.get("ports", ())]
        return next((port["containerPort"] for port in ports if port.get("name") == HTTP_PORT_NAME), None)

    @property
    def _state(self) -> Mapping[str, Any]:
        containers = self.document.get("status", {}).get("containerStatuses", ())
        return next((each.get("state", {}) for each in containers if each["name"] == self.role), {})


@dataclass(frozen=True)
class TrainingJob:
    """A job, as far as the cluster knows it.

    Attributes:
        document: The SplitTrainingJob.
        pods: Its pods, the oldest first.
        server_template: Spec of the server's pods; None while there is none, such as during a suspension.
    """

    document: Mapping[str, Any]
    pods: Sequence[Pod]
    server_template: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """Name of the job."""
        return str(self.document["metadata"]["name"])

    @property
    def status(self) -> Mapping[str, Any]:
        """What the operator has written; empty before it has seen the job."""
        status: Mapping[str, Any] = self.document.get("status") or {}
        return status

    @property
    def phase(self) -> str:
        """The phase, such as Running."""
        return str(self.status.get("phase", "Pending"))

    @property
    def has_succeeded(self) -> bool:
        """Whether the job is complete."""
        return self.condition("Complete").get("status") == "True"

    @property
    def has_ended(self) -> bool:
        """Whether the job is complete or has failed."""
        return self.has_succeeded or self.condition("Failed").get("status") == "True"

    @cached_property
    def server(self) -> Pod | None:
        """The newest pod of the server."""
        return next((pod for pod in reversed(self.pods) if pod.role == SERVER), None)

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return a condition; empty if there is none of this type."""
        return next((each for each in self.conditions if each.get("type") == kind), {})

    @property
    def conditions(self) -> Sequence[Mapping[str, Any]]:
        """All conditions."""
        conditions: Sequence[Mapping[str, Any]] = self.status.get("conditions", ())
        return conditions

    def told(self) -> Iterator[str]:
        """Yield what a user should know: reason and message of each condition that says something is up."""
        shown = {"Degraded": "True", "Failed": "True", "Complete": "True", "Suspended": "True"}
        for each in self.conditions:
            kind = each.get("type", "")
            accepted = kind == "Accepted" and each.get("status") == "False"
            waiting = kind == "Ready" and each.get("status") == "False" and not self.has_ended
            if shown.get(kind) == each.get("status") or accepted or waiting:
                yield f"{each.get('reason', kind)}: {each.get('message', '')}"


def read_job(access: Access, name: str) -> TrainingJob:
    """Read a job and its pods.

    Raises:
        InputError: there is no such job, or the name cannot be one.
        ClusterError: the cluster refuses or does not answer.
    """
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
        raise InputError.at("JOB", f"is '{name}', which cannot be the name of a job on a cluster")
    namespace = access.namespace
    jobs = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
    try:
        document = access.read(f"{jobs}/{name}")
    except NotFoundError as error:
        raise InputError.at(
            "JOB", f"'{name}' does not exist in the namespace {namespace}{_others(access, jobs)}"
        ) from error
    found = access.read(pods_path(namespace), {"labelSelector": f"{JOB_LABEL}={name}"})
    pods = sorted((Pod(each) for each in found.get("items", ())), key=lambda pod: (pod.created, pod.name))
    return TrainingJob(document, pods, _server_template(access, name, pods))


def _server_template(access: Access, name: str, pods: Sequence[Pod]) -> Mapping[str, Any] | None:
    server = next((pod for pod in reversed(pods) if pod.role == SERVER), None)
    if server is not None:
        return server.spec
    selector = {"labelSelector": f"{JOB_LABEL}={name},{ROLE_LABEL}={SERVER}"}
    found = access.read(f"/apis/batch/v1/namespaces/{access.namespace}/jobs", selector).get("items", ())
    return found[0]["spec"]["template"]["spec"] if found else None


def _others(access: Access, jobs: str) -> str:
    """Name the jobs of a namespace, for a user who has mistyped one."""
    try:
        items = access.read(jobs).get("items", ())
    except NotFoundError:
        return ", nor does its kind: pslgs is not installed in this cluster"
    names = sorted(each["metadata"]["name"] for each in items)
    if not names:
        return ", which has no jobs"
    return f", which has {', '.join(names[:10])}{' …' if len(names) > 10 else ''}"
