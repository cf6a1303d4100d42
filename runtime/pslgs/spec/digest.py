"""The job digest, by which a client and a server check that they run the same job."""

import hashlib
import json
from typing import Any

from pslgs.spec.base import SpecModel
from pslgs.spec.job import JobSpec


def job_digest(spec: JobSpec) -> bytes:
    """Return the digest of the fields on which client and server must agree: 32 bytes of SHA-256.

    The digest is taken over the canonical JSON of these fields.  All of ``sampling`` is included, because
    a resumed run draws its schedule again, and all of ``model``, with the path ``initialWeights``.  Not
    included are values that may differ from machine to machine, such as time-outs and the paths of data.
    """
    shared: dict[str, Any] = {
        "model": _non_defaults(spec.model),
        "transforms": [_non_defaults(each) for each in spec.data.transforms],
        "partition": spec.data.partition and _non_defaults(spec.data.partition),
        "loss": spec.loss,
        "sampling": _non_defaults(spec.sampling),
        "compression": spec.transport.compression,
    }
    if spec.data.range is not None:
        shared["range"] = spec.data.range
    canonical = json.dumps(shared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def _non_defaults(part: SpecModel) -> dict[str, Any]:
    """Dump a part without its defaults, so that fields added by a later version don't change the digest."""
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
