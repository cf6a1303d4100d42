"""What a watch told of one kind of objects: values that were read from them, never the objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pslgs_operator import names
from pslgs_operator.cluster import Key
from pslgs_operator.resources import Resource

V = TypeVar("V")


class ObjectKey(NamedTuple):
    """Where an object is; the namespace is empty for what has none."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """One object.

    Attributes:
        version: Its resourceVersion.
        owner: The uid of the object that controls it.
        job: The SplitTrainingJob that its label names.
    """

    uid: str
    version: str
    owner: str | None
    job: Key | None
    value: V


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """What became of an object; None is one that isn't there."""

    key: ObjectKey
    old: Entry[V] | None
    new: Entry[V] | None


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Cache(Generic[V]):
    """All objects of one kind that the operator looks at.

    It is told by the watch, and by the answers to the operator's own writes, whichever comes first.
    """

    resource: Resource
    read: Callable[[Mapping[str, Any]], V]
    _entries: dict[ObjectKey, Entry[V]] = field(default_factory=dict)
    _by_job: dict[Key, dict[str, Entry[V]]] = field(default_factory=dict)

    def put(self, body: Mapping[str, Any]) -> Change[V] | None:
        """Take an object in; None if it says nothing new."""
        key, new = object_key(body), self._entry(body)
        old = self._entries.get(key)
        if old is not None and is_newer(old.version, new.version):
            return None  # the watch tells of a state before our own write
        self._forget(key, old)
        self._entries[key] = new
        if new.job is not None:
            self._by_job.setdefault(new.job, {})[key.name] = new
        unchanged = old is not None and (old.uid, old.job, old.value) == (new.uid, new.job, new.value)
        return None if unchanged else Change(key, old, new)

    def drop(self, key: ObjectKey, uid: str | None = None) -> Change[V] | None:
        """Forget an object; one of the same name with another ``uid`` stays."""
        old = self._entries.get(key)
        if old is None or uid not in {None, old.uid}:
            return None
        self._forget(key, old)
        return Change(key, old, None)

    def of_job(self, job: Key) -> Mapping[str, Entry[V]]:
        """Return the job's objects by name."""
        return self._by_job.get(job, _NONE)

    def all(self) -> Mapping[ObjectKey, Entry[V]]:
        """Return every object."""
        return MappingProxyType(self._entries)

    def _entry(self, body: Mapping[str, Any]) -> Entry[V]:
        metadata = body["metadata"]
        job = (metadata.get("labels") or {}).get(names.JOB_LABEL)
        return Entry(
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            owner=controller(body),
            job=Key(metadata["namespace"], job) if job and "namespace" in metadata else None,
            value=self.read(body),
        )

    def _forget(self, key: ObjectKey, old: Entry[V] | None) -> None:
        if old is None:
            return
        del self._entries[key]
        if old.job is not None:
            siblings = self._by_job[old.job]
            del siblings[key.name]
            if not siblings:
                del self._by_job[old.job]


def object_key(body: Mapping[str, Any]) -> ObjectKey:
    """Tell where an object is."""
    metadata = body["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def controller(body: Mapping[str, Any]) -> str | None:
    """Return the uid of the object that controls it; None if none does."""
    owners = body["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def is_newer(version: str, than: str) -> bool:
    """Compare two resourceVersions of one kind; versions that are no numbers cannot be compared."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)
