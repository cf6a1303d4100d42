"""A fingerprint by which a client and a server recognise that they run the same job."""

import hashlib
import json
from typing import Any

from pslgs.spec.base import SpecModel
from pslgs.spec.job import JobSpec


def job_digest(spec: JobSpec) -> bytes:
    """Digest what client and server must agree on: 32 bytes, SHA-256 over its canonical JSON.

    Sampling is a whole part of it, since a resumed run draws its schedule again.  Paths and time-outs may
    differ from machine to machine and are no part of it.
    """
    shared = {
        "model": _written(spec.model),
        "transforms": [_written(each) for each in spec.data.transforms],
        "partition": spec.data.partition and _written(spec.data.partition),
        "loss": spec.loss,
        "sampling": _written(spec.sampling),
        "compression": spec.transport.compression,
    }
    canonical = json.dumps(shared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def _written(part: SpecModel) -> dict[str, Any]:
    """Leave out defaults, so that a field which a later version adds changes no digest."""
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
