"""batch/v1 Jobs of the server and the clients."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pslgs.spec import ExitCode


def child_job(
    metadata: dict[str, Any],
    queue_labels: Mapping[str, str],
    backoff_limit: int,
    failure_rules: Sequence[dict[str, Any]],
    template: dict[str, Any],
) -> dict[str, Any]:
    """Return a Job of one pod at a time: the next is made when the last has ended, not before.

    A Job with a queue is created suspended; Kueue resumes it when it is admitted, and suspends it when it is
    preempted.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "labels": {**metadata["labels"], **queue_labels}},
        "spec": {
            **({"suspend": True} if queue_labels else {}),
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": backoff_limit,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [*failure_rules, _ignored_disruption()]},
            "template": template,
        },
    }


def on_exit_codes(container: str, action: str, codes: Iterable[ExitCode]) -> dict[str, Any]:
    """Say what follows when the container ends with one of these: FailJob, or Ignore (and try again)."""
    values = sorted(code.value for code in codes)
    return {"action": action, "onExitCodes": {"containerName": container, "operator": "In", "values": values}}


def _ignored_disruption() -> dict[str, Any]:
    return {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
