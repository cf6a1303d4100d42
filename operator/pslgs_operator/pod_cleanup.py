"""Which failed pods of clients are deleted: their Jobs are retried for ever, and batch/v1 keeps every pod."""

from collections.abc import Iterator
from typing import Final

from pslgs_operator.actions import Delete
from pslgs_operator.snapshot import ChildPod, PodPhase, Snapshot

KEPT: Final = 3
"""Number of failed pods of each client Job that are kept for their logs, the newest ones."""


def surplus_pods(snapshot: Snapshot) -> Iterator[Delete]:
    """Yield the deletion of each failed pod of a client, but for the newest `KEPT` of its Job."""
    jobs = {child.uid: child.name for child in snapshot.clients.values()}
    failed: dict[str, list[ChildPod]] = {}
    for pod in snapshot.pods:
        if pod.owner in jobs and pod.phase is PodPhase.FAILED and not pod.deleting:
            failed.setdefault(pod.owner, []).append(pod)
    for owner, pods in failed.items():
        if len(pods) > KEPT:
            pods.sort(key=lambda pod: (pod.created, pod.name))
            why = f"the newest {KEPT} failed pods of Job {jobs[owner]} are kept"
            yield from (Delete("Pod", pod.name, pod.uid, why) for pod in pods[:-KEPT])
