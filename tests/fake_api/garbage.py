"""Deletion: preconditions, finalizers, grace periods of pods, and the garbage collector."""

from collections.abc import Mapping
from typing import Any

from fake_api.answers import conflict, invalid
from fake_api.bodies import Body
from fake_api.kinds import BY_NAME, Kind
from fake_api.storage import Key, Manager, Storage

_POLICIES = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}
_COLLECTOR = Manager("kube-controller-manager", "Update")


def check_preconditions(kind: Kind, body: Body, wanted: Mapping[str, Any]) -> None:
    """Refuse a request that was meant for another object, or another version of it."""
    metadata = body["metadata"]
    for name, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(name) not in {None, "", metadata[name]}:
            why = (
                f"Precondition failed: {label} in precondition: {wanted[name]}, "
                f"{label} in object meta: {metadata[name]}"
                if name == "uid"
                else "the object has been modified; please apply your changes to the latest version"
            )
            raise conflict(kind.plural, metadata["name"], why)


def check_uid(kind: Kind, body: Body, wanted: Mapping[str, Any]) -> None:
    """Refuse a patch that would give an object another uid."""
    metadata = body["metadata"]
    if wanted.get("uid") not in {None, "", metadata["uid"]}:
        raise invalid(kind.kind, metadata["name"], "metadata.uid", "field is immutable")


def delete(storage: Storage, kind: Kind, key: Key, options: Mapping[str, Any]) -> Body:
    """Delete an object, or mark it if a finalizer or a kubelet has to act first."""
    body = storage.objects[key]
    check_preconditions(kind, body, options.get("preconditions") or {})
    policy = options.get("propagationPolicy") or ("Orphan" if kind.kind == "Job" else "Background")
    metadata = body["metadata"]
    grace = options.get("gracePeriodSeconds")
    if finalizer := _POLICIES.get(policy):
        others = [each for each in metadata.get("finalizers") or [] if each not in _POLICIES.values()]
        metadata["finalizers"] = [*others, finalizer]
    on_a_node = kind.kind == "Pod" and (body.get("spec") or {}).get("nodeName")
    if metadata.get("finalizers") or (on_a_node and grace != 0 and not _ended(body)):
        _mark(storage, kind, body)
        return dict(body)
    storage.remove(key)
    return body


def finish(storage: Storage, key: Key) -> None:
    """Remove an object that is marked and has no finalizer left; of pods, the kubelet does."""
    body = storage.objects.get(key)
    if (
        body is not None
        and "deletionTimestamp" in body["metadata"]
        and not body["metadata"].get("finalizers")
    ):
        if key.kind == "Pod" and not _ended(body):
            return
        storage.remove(key)


def collect(storage: Storage) -> None:
    """Do all that the garbage collector has to do now."""
    while _collect_once(storage):
        pass


def _collect_once(storage: Storage) -> bool:
    before = storage.version
    uids = {body["metadata"]["uid"]: body for body in storage.objects.values()}
    for key, body in list(storage.objects.items()):
        owners = body["metadata"].get("ownerReferences") or []
        if not owners or key not in storage.objects:
            continue
        present = [uids[owner["uid"]] for owner in owners if owner["uid"] in uids]
        waiting = [owner for owner in present if "foregroundDeletion" in _finalizers(owner)]
        if not present or len(waiting) == len(present) == len(owners):
            if "deletionTimestamp" not in body["metadata"]:
                policy = "Foreground" if waiting and _blocked_dependents(storage, body) else "Background"
                delete(storage, BY_NAME[key.kind], key, {"propagationPolicy": policy})
        elif any("orphan" in _finalizers(owner) for owner in present):
            _orphan(storage, key, {o["metadata"]["uid"] for o in present if "orphan" in _finalizers(o)})
    for key, body in list(storage.objects.items()):
        _finalize(storage, key, body)
    return storage.version != before


def _finalize(storage: Storage, key: Key, body: Body) -> None:
    finalizers = _finalizers(body)
    done = {"orphan"} & set(finalizers)
    if "foregroundDeletion" in finalizers and not _blocked_dependents(storage, body):
        done.add("foregroundDeletion")
    if done:
        left = [each for each in finalizers if each not in done]
        changed = {**body, "metadata": {**body["metadata"], "finalizers": left}}
        storage.update(BY_NAME[key.kind], changed, _COLLECTOR)
        finish(storage, key)


def _blocked_dependents(storage: Storage, owner: Body) -> bool:
    uid = owner["metadata"]["uid"]
    return any(
        reference["uid"] == uid and reference.get("blockOwnerDeletion")
        for body in storage.objects.values()
        for reference in body["metadata"].get("ownerReferences") or ()
    )


def _orphan(storage: Storage, key: Key, uids: set[str]) -> None:
    body = storage.objects[key]
    left = [owner for owner in body["metadata"]["ownerReferences"] if owner["uid"] not in uids]
    metadata = {name: value for name, value in body["metadata"].items() if name != "ownerReferences"}
    changed = {**body, "metadata": metadata | ({"ownerReferences": left} if left else {})}
    storage.update(BY_NAME[key.kind], changed, _COLLECTOR)


def _mark(storage: Storage, kind: Kind, body: Body) -> None:
    metadata = body["metadata"]
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = storage.timestamp()
        metadata["deletionGracePeriodSeconds"] = 30 if kind.kind == "Pod" else 0
        if kind.has_generation:
            metadata["generation"] = metadata.get("generation", 0) + 1
    storage.touch(storage.key(kind, body))


def _finalizers(body: Body) -> list[str]:
    return list(body["metadata"].get("finalizers") or [])


def _ended(body: Body) -> bool:
    return (body.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
