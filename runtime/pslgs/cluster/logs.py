"""The logs of a job's server and clients, each line with whose it is."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from pslgs.cluster.access import Access, ClusterError
from pslgs.cluster.training_job import Pod, TrainingJob, read_job
from pslgs.spec.child_names import SERVER
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

_POLL_SECONDS: Final = 2.0
"""Seconds between two looks for new pods."""


class LogLine(NamedTuple):
    """A line of a log, and whose it is: ``server``, or the id of a client."""

    who: str
    text: str


def chosen_pods(job: TrainingJob, names: Sequence[str]) -> list[Pod]:
    """Return the pods that have a log: those of the server and clients that are named, or of all.

    They are grouped by whose they are, the server's first, and are then in the order of their creation.

    Raises:
        InputError: a name is none of the job's.
    """
    known = {pod.who for pod in job.pods}
    unknown = [name for name in names if name not in known]
    if unknown:
        clients = sorted({pod.who for pod in job.pods if pod.role != SERVER})
        listed = f"the clients with pods are {', '.join(clients)}" if clients else "no client has a pod"
        raise InputError.at("--client", f"names '{unknown[0]}', but {listed}{nearest(unknown[0], clients)}")
    wanted = [pod for pod in job.pods if pod.has_started and (not names or pod.who in names)]
    return sorted(wanted, key=lambda pod: (pod.role != "server", pod.who, pod.created))


def past_lines(access: Access, pods: Iterable[Pod], tail: int | None) -> Iterator[LogLine]:
    """Yield the logs of pods one after the other.

    Raises:
        ClusterError: the cluster refuses or does not answer.
    """
    for pod in pods:
        for text in access.log(pod.name, pod.role, follow=False, tail=tail):
            yield LogLine(pod.who, text)


def followed_lines(
    access: Access,
    name: str,
    names: Sequence[str],
    tail: int | None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[LogLine]:
    """Yield the lines of all pods as they are written, also of later ones, until the job has ended.

    Raises:
        InputError: the job no longer exists.
        ClusterError: the cluster refuses or does not answer.
    """
    lines: queue.SimpleQueue[LogLine | None] = queue.SimpleQueue()
    followed: dict[str, threading.Thread] = {}
    looked = -_POLL_SECONDS
    ended = False
    while not ended or any(thread.is_alive() for thread in followed.values()) or not lines.empty():
        if now() - looked >= _POLL_SECONDS:
            job, looked = read_job(access, name), now()
            ended = job.has_ended
            for pod in job.pods:
                if pod.has_started and pod.name not in followed and (not names or pod.who in names):
                    followed[pod.name] = _follow(access, pod, tail, lines)
        try:
            line = lines.get(timeout=max(0.0, looked + _POLL_SECONDS - now()))
        except queue.Empty:
            continue
        if line is not None:
            yield line


def _follow(
    access: Access, pod: Pod, tail: int | None, lines: "queue.SimpleQueue[LogLine | None]"
) -> threading.Thread:
    """Put the lines of a pod's log into ``lines`` from a thread of its own; None at its end."""

    def read() -> None:
        try:
            for text in access.log(pod.name, pod.role, follow=True, tail=tail):
                lines.put(LogLine(pod.who, text))
        except ClusterError as error:  # such as of a pod that is deleted meanwhile; others are still followed
            lines.put(LogLine(pod.who, f"({error})"))
        finally:
            lines.put(None)

    thread = threading.Thread(target=read, name=f"log of {pod.name}", daemon=True)
    thread.start()
    return thread
