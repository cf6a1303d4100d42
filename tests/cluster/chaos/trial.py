"""A training under faults of its cluster: what has to come out of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cluster.chaos.injecting import Place, inject
from cluster.scenarios.pace import slowed
from cluster.scenarios.trainings import give_digits, start, training, volume
from cluster.testcluster import roster
from cluster.testcluster.helm import NAMESPACE
from cluster.testcluster.installing import DEPLOYMENT
from cluster.testcluster.process import ClusterError, wait_until
from cluster.testcluster.stage import Cluster, is_true
from process_chaos.faults import Fault
from process_chaos.reference import equals_simulation
from process_chaos.samples import audit, last_step

JOB = "digits"
STEPS_PER_EPOCH = 23
STEPS_PER_FAULT = 100
TIME_TO_LIVE = 120
CERTIFICATE_LIFETIME = 600
"""Seconds; the operator renews certificates after two thirds of it."""

_LIFETIME_SETTING = "PSLGS_CERTIFICATE_LIFETIME"
_DIGITS = {"edge-0": range(5), "edge-1": range(5, 10)}
_SECONDS_A_SAMPLE = 0.001
_PROGRESS_SECONDS = 600
"""Kubernetes waits for up to 5 minutes before it starts a container that ended often."""

_GONE = "jobs,pods,services,configmaps,secrets,networkpolicies,persistentvolumeclaims"


def epochs_for(faults: int) -> int:
    """How many epochs a training takes that outlasts so many faults."""
    return 20 + faults * STEPS_PER_FAULT // STEPS_PER_EPOCH


def try_out(  # noqa: PLR0917 - what a trial is
    cluster: Cluster,
    namespace: str,
    faults: Sequence[Fault],
    epochs: int,
    scratch: Path,
    tell: Callable[[str], None],
) -> list[str]:
    """Let a job train under faults until it is complete, and return what is wrong.

    Raises:
        ClusterError: the training stands still, or the job did not end Complete.
    """
    samples = sum(give_digits(cluster, node, classes) for node, classes in _DIGITS.items())
    place = Place(cluster, namespace, JOB)
    wrong = []
    with _short_lived_certificates(cluster):
        begun = time.monotonic()
        code, job = slowed(_job(epochs), seconds_a_sample=_SECONDS_A_SAMPLE)
        cluster.apply(namespace, code)
        start(cluster, namespace, job)
        certificates = _certificates(place)
        run = volume(cluster, namespace, f"{JOB}-checkpoints") / JOB
        happened = _let_happen(place, faults, run / "metrics.jsonl", tell)
        if happened < len(faults):
            wrong.append(f"the job ended after {happened} of {len(faults)} faults")
        cluster.wait_for(namespace, f"stj/{JOB}", is_true("Complete"), seconds=_PROGRESS_SECONDS)
        took = time.monotonic() - begun
        renewed = {name for name, value in _certificates(place).items() if certificates.get(name) != value}
        tell(
            f"complete after {took:.0f} s, with new certificates for {', '.join(sorted(renewed)) or 'nobody'}"
        )
        if took > CERTIFICATE_LIFETIME and (missing := certificates.keys() - renewed):
            wrong.append(f"never renewed: {', '.join(sorted(missing))}")
        wrong += audit(run / "metrics.jsonl", epochs, samples)
        if not _is_exact(cluster, run, _job(epochs), scratch):
            wrong.append("the model differs from that of an undisturbed simulation")
        cluster.wait_until_gone(namespace, f"stj/{JOB}", seconds=TIME_TO_LIVE + 60)
        cluster.wait_until_gone(namespace, f"{_GONE} --selector=pslgs.dev/job={JOB}", seconds=120)
        authorities = "secrets --selector=pslgs.dev/certificate-authority-of"
        cluster.wait_until_gone(NAMESPACE, authorities, seconds=120)
    return [*wrong, *_tracebacks(cluster, namespace)]


def _job(epochs: int) -> dict[str, Any]:
    patience = {"clientTimeoutSeconds": 10, "onLostClient": "Wait", "quorumTimeoutSeconds": 1800}
    limits = {"backoffLimit": 10_000, "ttlSecondsAfterFinished": TIME_TO_LIVE}
    return training(JOB, epochs=epochs, checkpoint_every=20, faults=patience, **limits)


def _let_happen(place: Place, faults: Sequence[Fault], journal: Path, tell: Callable[[str], None]) -> int:
    """Let faults happen one after the other, and return how many did before the last step."""
    begun = time.monotonic()
    for number, fault in enumerate(faults):
        if fault.after and not _trains_on(place, journal, fault.after):
            return number
        wait_until(
            lambda fault=fault: _could(place, fault, tell), f"the fault that {fault.kind}", _PROGRESS_SECONDS
        )
        tell(f"{time.monotonic() - begun:4.0f} s, step {last_step(journal)}: {fault.kind}")
    return len(faults)


def _could(place: Place, fault: Fault, tell: Callable[[str], None]) -> bool:
    try:
        return inject(place, fault)
    except ClusterError as error:  # what it should have happened to has just gone
        tell(f"not yet: {fault.kind}: {error}")
        return False


def _trains_on(place: Place, journal: Path, steps: int) -> bool:
    """Wait for further steps; return whether there were any before the end."""
    target = last_step(journal) + steps

    def ended() -> bool:
        return place.kubectl("get", f"stj/{place.job}", "--output=jsonpath={.status.phase}") == "Complete"

    wait_until(lambda: last_step(journal) >= target or ended(), f"step {target}", _PROGRESS_SECONDS)
    return last_step(journal) >= target


@contextmanager
def _short_lived_certificates(cluster: Cluster) -> Iterator[None]:
    """Have an operator meanwhile whose certificates expire soon."""

    def roll_out(setting: str) -> None:
        cluster.run("--namespace", NAMESPACE, "set", "env", DEPLOYMENT, setting)
        cluster.run("--namespace", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=180s")

    roll_out(f"{_LIFETIME_SETTING}={CERTIFICATE_LIFETIME}")
    try:
        yield
    finally:
        roll_out(f"{_LIFETIME_SETTING}-")


def _certificates(place: Place) -> dict[str, str]:
    """The certificates of server and clients, by the names of their Secrets."""
    words = ("--namespace", place.namespace, "get", "secrets", f"--selector=pslgs.dev/job={place.job}")
    secrets = place.cluster.run.json(*words)["items"]
    return {each["metadata"]["name"]: each["data"]["tls.crt"] for each in secrets}


def _is_exact(cluster: Cluster, run: Path, job: dict[str, Any], scratch: Path) -> bool:
    """Simulate the same job, which equals an undisturbed run to the bit, and compare the models."""
    for node in _DIGITS:
        folder = scratch / f"{node}-0"
        folder.mkdir(parents=True)
        (folder / "digits.npz").write_bytes((cluster.srv(node) / "digits" / "digits.npz").read_bytes())
    job["spec"]["data"]["train"]["path"] = str(scratch / "{client}" / "digits.npz")
    (scratch / "job.yaml").write_text(yaml.safe_dump(job))
    return equals_simulation(scratch, run / "model.safetensors", cores=1)


def _tracebacks(cluster: Cluster, namespace: str) -> Iterator[str]:
    """What containers of the operator and of the job wrote of errors that nobody expected."""
    for node in roster.nodes(cluster.own()):
        for name in (NAMESPACE, namespace):
            for log in sorted(node.disk("/var/log/pods").glob(f"{name}_*/*/*.log")):
                lines = log.read_text(errors="replace").splitlines()
                if found := [line for line in lines if "Traceback" in line]:
                    yield f"{log.parent.parent.name}: {found[0][:500]}"
