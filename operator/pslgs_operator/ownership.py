"""Whose an object is: this job's, that of an earlier job of the same name, or somebody else's."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.fields import mapping, mappings, text

NAME_TAKEN: Final = "NameTaken"
"""Reason of a child that cannot be created because another object has its name."""


class Ownership(Enum):
    """Relation between an object and a job."""

    OWN = auto()
    """The job's: it controls the object, or did so before the owner reference was removed."""
    ORPHAN = auto()
    """The operator created it for an earlier job of this name, and nothing controls it any more."""
    DEPARTING = auto()
    """An earlier job of this name owns it; that job is gone, and so the garbage collector removes it."""
    FOREIGN = auto()
    """Anybody else's; never changed and never deleted."""


def controller_uid(body: Mapping[str, Any]) -> str | None:
    """Return the uid of the object that controls it; None if none does."""
    return text(_controller(body), "uid") or None


def ownership(existing: Mapping[str, Any], child: Mapping[str, Any]) -> Ownership:
    """Compare an object with the child of a job that has the same kind and name.

    Jobs are distinguished by uid.  The label `names.JOB_UID_LABEL` keeps it when the owner reference is gone,
    as after ``kubectl delete --cascade=orphan``.
    """
    owner, controller = controller_uid(child), controller_uid(existing)
    if controller is not None:
        of_same_name = all(
            text(_controller(existing), each) == text(_controller(child), each) for each in _NAMED
        )
        other = Ownership.DEPARTING if of_same_name else Ownership.FOREIGN
        return Ownership.OWN if controller == owner else other
    was, wanted = mapping(existing, "metadata", "labels"), mapping(child, "metadata", "labels")
    lineage = text(was, names.JOB_UID_LABEL)
    same = all(was.get(label) == wanted.get(label) for label in (names.JOB_LABEL, names.MANAGED_BY_LABEL))
    if not lineage or not same:
        return Ownership.FOREIGN
    if lineage == owner:
        return Ownership.OWN
    return Ownership.FOREIGN if existing.get("kind") in _NEVER_DELETED else Ownership.ORPHAN


_NAMED: Final = ("kind", "name")
_NEVER_DELETED: Final = frozenset({"PersistentVolumeClaim"})
"""Claims hold checkpoints and models: those of an earlier job are for its user to use or to delete."""


def name_taken(existing: Mapping[str, Any], child: Mapping[str, Any]) -> str:
    """Return the message for a child's name that is taken: by what, and what to do."""
    kind, metadata = child["kind"], child["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    owner = _controller(existing)
    remedies = ["give this SplitTrainingJob another name"]
    if owner:
        what = f"and belongs to {text(owner, 'kind')} {text(owner, 'name')}"
    elif mapping(existing, "metadata", "labels").get(names.JOB_UID_LABEL):
        what = "and was left by an earlier SplitTrainingJob of this name"
    else:
        what = "without belonging to this SplitTrainingJob"
    if kind == "PersistentVolumeClaim":
        remedies.append(f"set spec.checkpoint.storage.claimName to {name} to use what it holds")
    remedies.append(f"remove it: kubectl --namespace {namespace} delete {kind.lower()} {name}")
    return f"{kind} {name} exists already {what}; {', or '.join(remedies)}"


def being_collected(existing: Mapping[str, Any]) -> str:
    """Return the message for a name that is taken until what an earlier job left is removed."""
    name = text(mapping(existing, "metadata"), "name")
    return f"{text(existing, 'kind')} {name} of an earlier job of this name is being removed"


def _controller(body: Mapping[str, Any]) -> Mapping[str, Any]:
    owners = mappings(mapping(body, "metadata"), "ownerReferences")
    return next((owner for owner in owners if owner.get("controller") is True), {})
