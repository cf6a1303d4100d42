"""A SplitTrainingJob as the API server shows it, parsed and validated."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pslgs.spec import InputError, JobSpec, SplitTrainingJob, Tls
from pslgs.spec.compatibility import KnownFields, Location, parse_known_fields, with_unknown_fields
from pslgs.spec.job import Metadata
from pslgs_operator import names
from pslgs_operator.identity_key import IdentityKey
from pslgs_operator.overlay import template_violations
from pslgs_operator.status.types import JobStatus

NOT_OF_CHILDREN = frozenset(
    {"suspend", "active_deadline_seconds", "backoff_limit", "ttl_seconds_after_finished"}
)
"""Fields that no child depends on, so no child is replaced when they change."""

_METADATA: Final = tuple(Metadata.model_fields)
REMEMBERED: Final = 256
"""Number of manifests that are kept parsed, so that a reconcile of an unchanged job parses nothing."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A job whose spec is sound.

    Attributes:
        generation: Grows with each change of the spec.
        status: What the operator wrote last.
        manifest: The parsed manifest, without fields that this version of the operator does not know.
        queue_labels: Kueue's labels of the job: the LocalQueue, and a priority class; empty without a queue.
        unknown_fields: Fields that a newer custom resource definition has, by their location.
        spec_digest: A digest of what children are made from; defaults are left out, so an upgrade changes
            nothing.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    status: JobStatus
    manifest: SplitTrainingJob
    queue_labels: Mapping[str, str] = field(default_factory=dict)
    unknown_fields: Mapping[Location, object] = field(default_factory=dict)
    spec_digest: str = field(init=False)

    def __post_init__(self) -> None:
        # It takes milliseconds, and a thousand children have it: so it is computed once.
        digest = _digest(IdentityKey(self.manifest), IdentityKey(self.unknown_fields))
        object.__setattr__(self, "spec_digest", digest)

    @property
    def spec(self) -> JobSpec:
        """What is wanted."""
        return self.manifest.spec

    @property
    def known_fields(self) -> KnownFields:
        """The manifest and its unknown fields."""
        return KnownFields(self.manifest, self.unknown_fields)

    @property
    def mutual_tls(self) -> bool:
        """Whether server and clients have certificates."""
        return self.spec.transport.tls is Tls.MUTUAL

    @property
    def claim_name(self) -> str | None:
        """The volume claim of checkpoints and model; None where they end with the server's pod."""
        storage = self.spec.checkpoint.storage
        return None if storage is None else storage.claim_name or names.checkpoints_name(self.name)

    @property
    def owner_reference(self) -> dict[str, Any]:
        """Return the reference by which a child is deleted with the job.

        A deletion of the job in the foreground waits until the child is gone.
        """
        return {
            "apiVersion": self.manifest.api_version,
            "kind": self.manifest.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "TrainingJob":
        """Read an object of the API.

        Raises:
            InputError: with every violation; the API server refuses most of them, but not those that a
                newer operator adds.
        """
        metadata = body["metadata"]
        known = _parsed(json.dumps(_manifest(body)))
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            generation=metadata["generation"],
            status=JobStatus.parse(body.get("status") or {}),
            manifest=known.job,
            queue_labels=queue_labels(metadata.get("labels") or {}),
            unknown_fields=known.unknown,
        )


def queue_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return Kueue's labels among those of a job; without a queue, none counts."""
    if not labels.get(names.QUEUE_LABEL):
        return {}
    return {name: labels[name] for name in names.QUEUE_LABELS if name in labels}


def _manifest(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an object that is parsed: without the status and the API server's bookkeeping."""
    metadata = {name: body["metadata"][name] for name in _METADATA if name in body["metadata"]}
    return {**{name: value for name, value in body.items() if name != "status"}, "metadata": metadata}


@lru_cache(REMEMBERED)
def _parsed(manifest: str) -> KnownFields:
    """Parse and validate a manifest in JSON; as the same text has the same meaning, the result is kept."""
    known = parse_known_fields(json.loads(manifest))
    if wrong := tuple(template_violations(known.job.spec)):
        raise InputError(*wrong)
    return known


@lru_cache(REMEMBERED)
def _digest(manifest: IdentityKey[SplitTrainingJob], unknown: IdentityKey[Mapping[Location, object]]) -> str:
    """Return a digest of the fields that children depend on.

    It includes unknown fields, so that it stays the same when a newer operator knows them.
    """
    known = KnownFields(manifest.value, unknown.value)
    spec = known.job.spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude=set(NOT_OF_CHILDREN)
    )
    wanted = with_unknown_fields({"spec": spec}, known)
    return hashlib.sha256(json.dumps(wanted["spec"], sort_keys=True).encode()).hexdigest()[:16]
