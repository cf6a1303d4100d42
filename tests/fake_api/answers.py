"""Answers of the API server that are no success."""

from collections.abc import Mapping
from typing import Any


class StatusError(Exception):
    """An answer with an HTTP status of 400 or more."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.headers = dict(headers or {})
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": status,
            "reason": reason,
            "message": message,
            **({"details": dict(details)} if details else {}),
        }


def not_found(plural: str, name: str, group: str = "") -> StatusError:
    """The object is not there."""
    full = f"{plural}.{group}" if group else plural
    return StatusError(404, "NotFound", f'{full} "{name}" not found', {"name": name, "kind": plural})


def already_exists(plural: str, name: str) -> StatusError:
    """The name is taken."""
    return StatusError(
        409, "AlreadyExists", f'{plural} "{name}" already exists', {"name": name, "kind": plural}
    )


def conflict(plural: str, name: str, why: str) -> StatusError:
    """Someone else was faster, or a precondition does not hold."""
    return StatusError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {plural} "{name}": {why}',
        {"name": name, "kind": plural},
    )


def invalid(kind: str, name: str, field: str, why: str) -> StatusError:
    """A field has a value that validation refuses."""
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": field}]
    return StatusError(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {field}: Invalid value: {why}',
        {"name": name, "kind": kind, "causes": causes},
    )


def failed_test() -> StatusError:
    """A test of a JSON patch does not hold."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request")


def namespace_terminating(name: str, namespace: str) -> StatusError:
    """Nothing new is made in a namespace that is being deleted."""
    why = f"namespace {namespace} is being terminated"
    causes = [{"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}]
    return StatusError(
        403,
        "Forbidden",
        f'"{name}" is forbidden: unable to create new content in namespace {namespace}: because it is being '
        "terminated",
        {"name": name, "causes": causes},
    )


def field_conflict(fields: Mapping[str, str]) -> StatusError:
    """Fields that are applied belong to other managers, by path."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": path}
        for path, manager in fields.items()
    ]
    listed = ", ".join(f'"{manager}": {path}' for path, manager in fields.items())
    return StatusError(
        409, "Conflict", f"Apply failed with {len(fields)} conflict(s): {listed}", {"causes": causes}
    )
