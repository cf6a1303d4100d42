"""Metadata that all children of a job share."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.training_job import TrainingJob


def child_labels(job: TrainingJob, role: str | None = None) -> dict[str, str]:
    """Return the labels of a child: recommended ones, over them those of the job, and those that identify it.

    The uid distinguishes jobs of the same name.
    """
    return {
        **names.labels(job.name, role),
        **job.spec.child_metadata.labels,
        names.JOB_UID_LABEL: job.uid,
    }


def child_metadata(
    job: TrainingJob, name: str, role: str | None = None, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return metadata with labels, the owner, and the digest of the spec that the child is made from.

    The job's ``childMetadata`` is part of it; ``annotations`` and the operator's own keys take precedence.
    """
    inherited = job.spec.child_metadata
    return {
        "name": name,
        "namespace": job.namespace,
        "labels": child_labels(job, role),
        "annotations": {
            **inherited.annotations,
            names.SPEC_ANNOTATION: job.spec_digest,
            **(annotations or {}),
        },
        "ownerReferences": [job.owner_reference],
    }


def as_supporting(rendered: dict[str, Any]) -> dict[str, Any]:
    """Write down on a supporting object what it was rendered as, and which keys of it users chose."""
    metadata = rendered["metadata"]
    keys = [
        f"{part}/{key}"
        for part in ("labels", "annotations")
        for key in sorted(metadata[part])
        if not key.startswith(f"{names.GROUP}/") and key not in _OWN_LABELS
    ]
    digest = hashlib.sha256(json.dumps(rendered, sort_keys=True).encode()).hexdigest()[:16]
    annotations = {**metadata["annotations"], names.RENDERED_ANNOTATION: digest}
    if keys:
        annotations[names.KEYS_ANNOTATION] = " ".join(keys)
    return {**rendered, "metadata": {**metadata, "annotations": annotations}}


_OWN_LABELS: Final = names.labels("", names.SERVER).keys()
