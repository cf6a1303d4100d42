"""The operator as a process, and the world around it, of which kubelets and schedulers are played by hand."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.testcluster.access import ApiServer
from cluster.testcluster.process import free_port
from control_loop.node_leases import Leases
from pslgs_operator.gvk import BY_KIND, NODES, Resource

T = TypeVar("T")

_RESOURCES = (
    *BY_KIND.values(),
    Resource("Namespace", "namespaces", namespaced=False),
    Resource("ResourceQuota", "resourcequotas"),
)

PATIENCE = 60.0
"""Seconds that anything may take."""

LAST_WORDS = 5000
"""Characters of an operator's log that are shown with a failure."""


def eventually(look: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """Look until something is to be seen, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {seconds:.0f} s: {what or look}")
        time.sleep(0.1)


@dataclass(slots=True)
class OperatorProcess:
    """A running operator."""

    process: subprocess.Popen[bytes]
    log: Path
    health_port: int
    metrics_port: int

    def answers(self, status: int) -> bool:
        """Return whether its probe has this status; it must not have ended."""
        assert self.process.poll() is None, "the operator has ended"
        return self.health() == status

    def health(self) -> int:
        """Return the HTTP status of its readiness probe; 0 when nothing answers."""
        return self.page("/readyz")[0]

    def page(self, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
        """Return the HTTP status and the text of a page; 0 when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{host}:{self.health_port}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def waits_for(self, reason: str) -> bool:
        """Wait until its probe says that it is not ready, and for what; it answers before it has looked."""

        def said() -> bool:
            status, text = self.page("/readyz")
            return status == 503 and reason in text

        return eventually(said, what=reason)

    def leads(self) -> bool:
        """Return whether it says that it holds the Lease."""
        return "pslgs_operator_leader 1.0" in self.metrics()

    def metrics(self) -> str:
        """Return its metrics as text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def stop(self) -> int:
        """End it as the kubelet does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def operator(
    kubeconfig: Path, folder: Path, *arguments: str, up: int = 200, **settings: str
) -> Iterator[OperatorProcess]:
    """Run an operator as the user of ``kubeconfig``, until it is left.

    Args:
        kubeconfig: Its credentials.
        folder: Where its log is written.
        arguments: Of the interpreter.
        up: What its readiness probe says once it is up.
        settings: Environment variables.
    """
    health_port = free_port()
    metrics_port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "KUBECONFIG": str(kubeconfig),
        "PSLGS_LIVENESS_PORT": str(health_port),
        "PSLGS_METRICS_PORT": str(metrics_port),
        "PSLGS_POLL_INTERVAL": "1",
        "PSLGS_SILENCE_BOUND": "4",
    }
    log = folder / "operator.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *(arguments or ("-m", "pslgs_operator"))],
            env=environ | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = OperatorProcess(process, log, health_port, metrics_port)
    try:
        eventually(lambda: running.answers(up), what="the operator's health")
        yield running
    except AssertionError as error:
        error.add_note(f"--- {log}\n{log.read_text()[-LAST_WORDS:]}")
        raise
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def hurried(seconds: Mapping[str, float]) -> tuple[str, str]:
    """Return arguments of the interpreter that run an operator with shorter intervals.

    Args:
        seconds: The intervals, by module and constant: ``{"informer.SILENT_AFTER": 10}``.
    """
    modules = sorted({"__main__", *(name.rpartition(".")[0] for name in seconds)})
    lines = [
        "from datetime import timedelta",
        *(f"import pslgs_operator.{module}" for module in modules),
        *(f"assert isinstance(pslgs_operator.{name}, timedelta)" for name in seconds),
        *(f"pslgs_operator.{name} = timedelta(seconds={each})" for name, each in seconds.items()),
        "pslgs_operator.__main__.main()",
    ]
    return "-c", "\n".join(lines)


BRIEF_GRACE = {"spec": {"terminationGracePeriodSeconds": 1}}
"""Template of pods; a namespace that is deleted waits for half of the longest grace period of its pods."""


@dataclass(frozen=True, slots=True)
class World:
    """A namespace of a cluster without kubelets, and its nodes."""

    server: ApiServer
    namespace: str
    leases: Leases

    @property
    def edges(self) -> tuple[str, str]:
        """Names of its first two nodes."""
        return f"{self.namespace}-0", f"{self.namespace}-1"

    @property
    def site(self) -> dict[str, str]:
        """The label of its nodes."""
        return {"site": self.namespace}

    def apply(self, name: str, **spec: Any) -> None:
        """Apply a small job, as a user does."""
        self.server.run.apply(training_job(name, self.namespace, self.site, **spec))

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace."""
        return self.server.run("--namespace", self.namespace, *arguments)

    def all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return all objects of a kind in the namespace."""
        found = self.server.direct.get(resource(kind).path(self.namespace), selector)
        return list(found["items"]) if found else []

    def names(self, kind: str) -> set[str]:
        """Return the names of all objects of a kind in the namespace."""
        return {each["metadata"]["name"] for each in self.all(kind)}

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object; empty if there is none."""
        return self.server.direct.get(resource(kind).path(self.namespace, name)) or {}

    def status(self, job: str) -> dict[str, Any]:
        """Return the status of a SplitTrainingJob."""
        return dict(self.get("splittrainingjob", job).get("status", {}))

    def condition(self, job: str, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; empty before the first visit."""
        for each in self.status(job).get("conditions", []):
            if each["type"] == kind:
                return each["status"], each["reason"], each.get("message", "")
        return "", "", ""

    def events(self, job: str) -> list[str]:
        """Return the reasons of a job's events, in the order in which kubectl shows them."""
        of_job = f"--field-selector=involvedObject.name={job},involvedObject.kind=SplitTrainingJob"
        return self.kubectl("get", "events", of_job, "--output=jsonpath={.items[*].reason}").split()

    def add_node(self, name: str, **labels: str) -> None:
        """Let a node join that is ready; there is no kubelet behind it."""
        self.server.direct.create(NODES.path(), {"metadata": {"name": name, "labels": labels}})
        self.leases.keep(name)
        self.set_ready(name)

    def set_ready(self, name: str, *, ready: bool = True) -> None:
        """Say what its kubelet, or the node controller in its place, would say."""
        condition = {"type": "Ready", "status": "True" if ready else "Unknown", "reason": "Played"}
        self.patch_status("node", name, {"conditions": [condition]})

    def patch_status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        """Set a status as a controller or a kubelet would."""
        path = resource(kind).path(self.namespace, name, "status")
        self.server.direct.merge(path, {"status": status})

    def pods(self, child: str) -> list[dict[str, Any]]:
        """Return the pods of a child Job."""
        return self.all("pods", f"batch.kubernetes.io/job-name={child}")

    def pod_of(self, child: str) -> str:
        """Wait for the Job controller to make a child Job's pod, and return its name."""
        pods = eventually(lambda: self.pods(child), what=f"a pod of {child}")
        return str(pods[-1]["metadata"]["name"])

    def run_pod(self, child: str, ip: str) -> str:
        """Play the kubelet that starts a child Job's pod."""
        pod = self.pod_of(child)
        self.patch_status("pod", pod, running(pod, ip))
        return pod

    def end_pod(self, pod: str, code: int, message: str = "", reason: str = "") -> None:
        """Play the kubelet whose container ended."""
        role = next(each["name"] for each in self.get("pod", pod)["spec"]["containers"])
        end = {
            "exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), "message": message,
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z", "containerID": "x://1",
        }  # fmt: skip
        container = container_status(role, {"terminated": end})
        self.patch_status(
            "pod", pod, {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
        )


def resource(kind: str) -> Resource:
    """Return the resource of a kind, which may be written as kubectl understands it: ``pod``, ``pods``."""
    return next(each for each in _RESOURCES if kind.lower() in {each.kind.lower(), each.plural})


def container_status(name: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make the status of one container."""
    return {
        "name": name,
        "image": "i",
        "imageID": "",
        "restartCount": 0,
        "ready": False,
        "state": state,
        **more,
    }


def running(pod: str, ip: str) -> dict[str, Any]:
    """Make the status of a pod that runs."""
    role = "client" if "-client-" in pod else "server"
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [container_status(role, state, ready=True, started=True)],
    }


def training_job(name: str, namespace: str, node_selector: dict[str, str], **spec: Any) -> dict[str, Any]:
    """Make the manifest of a small job."""
    wanted = {
        "model": {"architecture": "mlp", "cutLayer": "0"},
        "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
        "epochs": 2,
        "clients": {"nodeSelector": node_selector},
        "checkpoint": {"storage": {"size": "1Gi"}},
    }
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": wanted | spec,
    }
