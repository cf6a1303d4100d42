"""The schema of a job's status; the API server drops fields that it does not have."""

from typing import Final

from pslgs_operator.crd.openapi import Schema, structural_schema
from pslgs_operator.status.types import JobStatus


def _as_written(schema: Schema) -> Schema:
    """Leave out defaults, which the API server would fill in; no field of the status itself is required.

    The items of a list, which are the conditions, keep their required fields.
    """
    kept = {name: part for name, part in schema.items() if name not in {"default", "required", "properties"}}
    if "properties" in schema:
        kept["properties"] = {name: _as_written(part) for name, part in schema["properties"].items()}
    return kept


STATUS: Final = _as_written(structural_schema(JobStatus))
