"""batch/v1 Jobs of the server and the clients."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pslgs.spec import ExitCode
from pslgs_operator import names
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob


def own_queue(job: TrainingJob, settings: Settings) -> Mapping[str, str]:
    """Return the queue's labels for child Jobs; none where Kueue admits the job as a whole."""
    return {} if settings.kueue else job.queue_labels


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
    """Return the rule for these exit codes of the container: FailJob, or Ignore (and try again)."""
    values = sorted(code.value for code in codes)
    return {"action": action, "onExitCodes": {"containerName": container, "operator": "In", "values": values}}


def _ignored_disruption() -> dict[str, Any]:
    return {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def template_digest(rendered: Mapping[str, Any]) -> str:
    """Return a digest of the spec of a rendered Job or claim.

    The backoff limit is left out: a running Job is not replaced for it.
    """
    spec = {name: value for name, value in rendered["spec"].items() if name != "backoffLimit"}
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def with_template_digest(rendered: dict[str, Any], digest: str) -> dict[str, Any]:
    """Write a digest down on a rendered Job or claim."""
    metadata = rendered["metadata"]
    annotations = {**metadata["annotations"], names.TEMPLATE_ANNOTATION: digest}
    return {**rendered, "metadata": {**metadata, "annotations": annotations}}
