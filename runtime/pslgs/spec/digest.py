"""The job digest, by which a client and a server check that they run the same job."""

import hashlib
import json
from typing import Any

from pslgs.spec.base import SpecModel
from pslgs.spec.job import JobSpec
from pslgs.spec.loss import LabelKind
from pslgs.spec.model import ModelSpec
from pslgs.spec.training import Precision


def job_digest(spec: JobSpec) -> bytes:
    """Return the digest of the fields on which client and server must agree: 32 bytes of SHA-256.

    The digest is taken over the canonical JSON of these fields.  All of ``sampling`` is included, because
    a resumed run draws its schedule again, and all of ``model``, with the path ``initialWeights``.  Not
    included are values that may differ from machine to machine, such as time-outs and the paths of data.
    """
    shared: dict[str, Any] = {
        "model": _model(spec.model),
        "transforms": [_non_defaults(each) for each in spec.data.transforms],
        "partition": spec.data.partition and _non_defaults(spec.data.partition),
        "loss": spec.loss,
        "sampling": _non_defaults(spec.sampling),
        "compression": spec.transport.compression,
    }
    if spec.precision.client is not Precision.FULL:
        shared["precision"] = spec.precision.client
    if spec.loss_options.labels is not LabelKind.CLASSES:
        shared["labels"] = spec.loss_options.labels
    if spec.data.range is not None:
        shared["range"] = spec.data.range
    if spec.data.classes is not None:
        shared["classes"] = spec.data.classes
    inputs = spec.data.model_dump(
        mode="json",
        by_alias=True,
        include={"window", "layout", "input_type", "length", "standardize", "inputs", "on_damaged_sample"},
        exclude_defaults=True,
    )
    canonical = json.dumps(shared | inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def _model(model: ModelSpec) -> dict[str, Any]:
    """Dump the model; weights of which only the path is given are the path, as earlier versions wrote it."""
    dumped = _non_defaults(model)
    weights = dumped.get("initialWeights")
    return {**dumped, "initialWeights": weights["path"]} if weights and weights.keys() == {"path"} else dumped


def _non_defaults(part: SpecModel) -> dict[str, Any]:
    """Dump a part without its defaults, so that fields added by a later version don't change the digest."""
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
