"""A job on a cluster, as the operator's own code makes its objects, and access to it without a cluster."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.jobs import UID
from pslgs.cluster.access import CommandFailedError, NotFoundError
from pslgs_operator import names
from pslgs_operator.manifests.server import server_job
from pslgs_operator.settings import Settings
from status.sights import CLIENTS, assessed, job, sight

JOBS = "/apis/pslgs.dev/v1alpha1/namespaces/lab/splittrainingjobs"
PODS = "/api/v1/namespaces/lab/pods"
BATCH_JOBS = "/apis/batch/v1/namespaces/lab/jobs"
RUNNING = {"running": {}}
ENDED = {"terminated": {"exitCode": 0}}
KEPT = {"checkpoint": {"storage": {"size": "1Gi"}}}
COMPLETE = {
    "phase": "Complete",
    "conditions": [
        {
            "type": "Complete",
            "status": "True",
            "reason": "TrainingFinished",
            "message": "all done",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 1,
        }
    ],
}


def training_job(status: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """The object of the job ``digits``, with the status that the operator writes of a training."""
    wanted = job(**spec)
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "digits", "namespace": "lab", "uid": UID},
        "spec": wanted.manifest.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "status": assessed(sight()).to_json() if status is None else dict(status),
    }


def server_spec(**spec: Any) -> dict[str, Any]:
    """The spec of the server's pods, with what the API server adds."""
    template: dict[str, Any] = server_job(job(**spec), 3, Settings(server_image="example/runtime:1"))
    return template["spec"]["template"]["spec"]


def pod(name: str, role: str, state: Mapping[str, Any], client: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": changes.get("created", "2026-01-02T03:00:00Z"),
            "labels": {names.JOB_LABEL: "digits", names.ROLE_LABEL: role},
            "annotations": {names.CLIENT_ANNOTATION: client} if client else {},
        },
        "spec": changes.get("spec", server_spec()) | {"nodeName": "gpu-0"},
        "status": {"containerStatuses": [{"name": role, "state": state}]},
    }


def server_pod(state: Mapping[str, Any] = RUNNING, **changes: Any) -> dict[str, Any]:
    return pod(changes.pop("name", "digits-server-a"), "server", state, **changes)


def client_pods(state: Mapping[str, Any] = RUNNING) -> list[dict[str, Any]]:
    return [pod(f"digits-client-{client}-x", "client", state, client) for client in CLIENTS]


@dataclass
class FakeAccess:
    """Access to the namespace ``lab``, whose only job is ``digits``; commands run on this machine.

    Attributes:
        volume: Folder that stands for /var/lib/pslgs in containers.
        objects: Objects by path, and lists of objects.
        logs: Pod -> lines.
        status_page: What the server answers at /status.
        starting: Statuses of a created pod, one for each look; the last one stays.
        before_command: Called before each command.
        created: Pods that were created.
        deleted: Paths that were deleted.
    """

    volume: Path
    objects: dict[str, Any]
    logs: dict[str, list[str]] = field(default_factory=dict)
    status_page: bytes | None = None
    starting: list[dict[str, Any]] = field(default_factory=lambda: [{"phase": "Running"}])
    before_command: Callable[[Sequence[str]], None] = lambda _command: None
    created: list[Mapping[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    namespace: str = "lab"

    @classmethod
    def of(
        cls,
        volume: Path,
        document: Mapping[str, Any],
        pods: Sequence[Mapping[str, Any]],
        jobs: Sequence[Any] = (),
    ) -> "FakeAccess":
        lists = {PODS: {"items": list(pods)}, BATCH_JOBS: {"items": list(jobs)}, JOBS: {"items": [document]}}
        return cls(volume, {f"{JOBS}/digits": document, **lists})

    def read(self, path: str, _query: Mapping[str, str] | None = None) -> dict[str, Any]:
        if path.startswith(f"{PODS}/digits-reader-"):
            status = self.starting.pop(0) if len(self.starting) > 1 else self.starting[0]
            return {"status": status}
        if path not in self.objects:
            raise NotFoundError.at("", f"{path} not found")
        return self.objects[path]

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert path == PODS
        self.created.append(body)
        return {"metadata": {"name": f"{body['metadata']['generateName']}z"}}

    def delete(self, path: str) -> None:
        self.deleted.append(path)

    def log(self, pod: str, _container: str, *, tail: int | None, **_: bool) -> Iterator[str]:
        lines = self.logs.get(pod, [])
        yield from lines if tail is None else lines[len(lines) - tail :]

    def run(self, _pod: str, _container: str, command: Sequence[str]) -> bytes:
        self.before_command(command)
        local = [each.replace("/var/lib/pslgs", str(self.volume)) for each in command]
        done = subprocess.run(local, capture_output=True, check=False)
        if done.returncode:
            raise CommandFailedError(command, done.returncode, done.stderr.decode())
        return done.stdout

    def page(self, _pod: str, port: int, path: str) -> bytes | None:
        assert (port, path) == (names.HTTP_PORT, "/status")
        return self.status_page
