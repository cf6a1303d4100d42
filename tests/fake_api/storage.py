"""The storage of the API server in memory: objects, versions, field owners, and the log of changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fake_api.bodies import Body, copied
from fake_api.fieldsets import Path, leaves, owned_part, to_fields_v1
from fake_api.kinds import Kind, check, fill_in


class Key(NamedTuple):
    """Where an object is; the namespace is empty for what has none."""

    kind: str
    namespace: str
    name: str


class Manager(NamedTuple):
    """Who wrote fields, how (Apply or Update), and through which subresource."""

    name: str
    operation: str
    subresource: str = ""


class Happening(NamedTuple):
    """A change of an object: ADDED, MODIFIED or DELETED, with the object after and before it."""

    version: int
    type: str
    key: Key
    body: Mapping[str, Any]
    before: Mapping[str, Any] | None = None


Owners = dict[Manager, frozenset[Path]]


def _epoch() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Storage:
    """Objects by key; every change has a resourceVersion of its own.

    Attributes:
        now: The clock.
        log: What happened, in order; watches read it.
        log_of: The last body in the log of each object that is there.
        oldest: Watches may begin here; before that the log is compacted.
    """

    now: Callable[[], datetime] = _epoch
    objects: dict[Key, Body] = field(default_factory=dict)
    owners: dict[Key, Owners] = field(default_factory=dict)
    log: list[Happening] = field(default_factory=list)
    log_of: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    version: int = 0
    oldest: int = 0
    _numbers: int = 0

    def number(self) -> int:
        """Return a number that is not used yet."""
        self._numbers += 1
        return self._numbers

    def timestamp(self) -> str:
        """Return the present second as the API writes it."""
        return self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def key(self, kind: Kind, body: Mapping[str, Any]) -> Key:
        """Return where an object is kept."""
        metadata = body["metadata"]
        return Key(kind.kind, metadata.get("namespace", "") if kind.namespaced else "", metadata["name"])

    def create(self, kind: Kind, body: Mapping[str, Any], manager: Manager, *, dry_run: bool = False) -> Body:
        """Keep a new object."""
        new = copied(dict(body))
        metadata = new["metadata"] = dict(new.get("metadata") or {})
        for name in ("managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"):
            metadata.pop(name, None)
        if kind.has_status:
            new.pop("status", None)
        owners: Owners = {manager: _paths(new, status=False)}
        metadata |= {
            "uid": f"uid-{self.number()}",
            "creationTimestamp": self.timestamp(),
            **({"generation": 1} if kind.has_generation else {}),
        }
        new |= {"apiVersion": kind.api_version, "kind": kind.kind}
        fill_in(kind, new, None, self.number)
        check(kind, new, None)
        if dry_run:
            return new
        self._commit("ADDED", self.key(kind, new), new, owners)
        return copied(new)

    def update(
        self,
        kind: Kind,
        body: Mapping[str, Any],
        manager: Manager,
        owners: Owners | None = None,
        *,
        dry_run: bool = False,
    ) -> Body:
        """Keep an object in another form; without ``owners``, what changes belongs to ``manager`` then.

        Of an object with a status, the endpoint writes either the status or all else.
        """
        key = self.key(kind, body)
        old = self.objects[key]
        new = self._half(kind, old, body, status=manager.subresource == "status")
        if manager.subresource != "status":
            fill_in(kind, new, old, self.number)
            check(kind, new, old)
        if owners is None:
            owners = self._owners_after_update(key, old, new, manager)
        if kind.has_generation and _spec(old) != _spec(new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if dry_run or (_content(new) == _content(old) and owners == self.owners[key]):
            return copied(new)
        self._commit("MODIFIED", key, new, owners)
        return copied(new)

    def remove(self, key: Key) -> None:
        """Keep an object no longer."""
        body, _ = self.objects.pop(key), self.owners.pop(key)
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.log.append(Happening(self.version, "DELETED", key, body, self.log_of.pop(key)))

    def clone(self, now: Callable[[], datetime]) -> "Storage":
        """Copy everything but the log, with another clock."""
        objects = {key: copied(body) for key, body in self.objects.items()}
        last = dict(self.log_of)
        version, numbers = self.version, self._numbers
        return Storage(now, objects, dict(self.owners), [], last, version, version, numbers)

    def touch(self, key: Key) -> None:
        """Give an object that was changed in place a version of its own."""
        self._commit("MODIFIED", key, self.objects[key], self.owners[key])

    def compact(self) -> None:
        """Forget what happened; a watch from before gets 410 Gone."""
        self.log.clear()
        self.oldest = self.version

    def _half(self, kind: Kind, old: Body, body: Mapping[str, Any], *, status: bool) -> Body:
        if status:
            new = copied(old)
            if "status" in body:
                new["status"] = copied(body["status"])
            else:
                new.pop("status", None)
            return new
        new = copied(dict(body)) | {"apiVersion": kind.api_version, "kind": kind.kind}
        if kind.has_status:
            new.pop("status", None)
            new |= {"status": copied(old["status"])} if "status" in old else {}
        kept = ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp",
                "deletionGracePeriodSeconds", "managedFields")  # fmt: skip
        metadata = new["metadata"] = dict(new["metadata"])
        for name in kept:
            metadata.pop(name, None)
            metadata |= {name: old["metadata"][name]} if name in old["metadata"] else {}
        return new

    def _owners_after_update(self, key: Key, old: Body, new: Body, manager: Manager) -> Owners:
        status = manager.subresource == "status"
        before = leaves(owned_part(old, status=status))
        after = leaves(owned_part(new, status=status))
        changed = frozenset(
            path for path, value in after.items() if path not in before or before[path] != value
        )
        gone = before.keys() - after.keys()
        owners: Owners = {
            each: paths - gone - (changed if each != manager else frozenset())
            for each, paths in self.owners[key].items()
        }
        owners[manager] = owners.get(manager, frozenset()) | changed
        return {each: paths for each, paths in owners.items() if paths}

    def _commit(self, what: str, key: Key, body: Body, owners: Owners) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        body["metadata"]["managedFields"] = [
            _entry(manager, paths, body["apiVersion"], self.timestamp()) for manager, paths in owners.items()
        ]
        before = self.log_of.get(key)
        self.objects[key], self.owners[key] = body, owners
        self.log_of[key] = copied(body)
        self.log.append(Happening(self.version, what, key, self.log_of[key], before))


def _paths(body: Mapping[str, Any], *, status: bool) -> frozenset[Path]:
    return frozenset(leaves(owned_part(body, status=status)))


def _entry(manager: Manager, paths: frozenset[Path], api_version: str, time: str) -> dict[str, Any]:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields_v1(paths),
    }
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})


def _spec(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in {"metadata", "status"}}


def _content(body: Mapping[str, Any]) -> dict[str, Any]:
    ignored = {"resourceVersion", "managedFields"}
    metadata = {name: value for name, value in body["metadata"].items() if name not in ignored}
    return {**body, "metadata": metadata}
