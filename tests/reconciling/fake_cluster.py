"""A cluster in memory: it keeps objects as the API server does, and counts what is asked of it."""

from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pslgs_operator.gvk import BY_KIND
from pslgs_operator.kube_client import NamespaceTerminatingError, RejectedError, RetryableError
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.store import Stores, controller_uid

Objects = dict[tuple[str, str, str], dict[str, Any]]


@dataclass
class FakeCluster:
    """Implements `pslgs_operator.kube_client.Cluster`.

    Attributes:
        reports: What the servers' status pages answer, by address.
        refused: Kinds or names that may not be made, with what the API server says.
        calls: How often each method was called, and for which kind.
    """

    objects: Objects = field(default_factory=dict)
    reports: dict[str, ServerReport] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    ending: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    away: bool = False
    _numbers: Any = field(default_factory=lambda: count(1))

    async def job(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self._read("SplitTrainingJob", namespace, name)

    async def secret(self, namespace: str, name: str, owner: str) -> Mapping[str, bytes] | None:
        secret = self._read("Secret", namespace, name)
        if secret is None or controller_uid(secret) not in {None, owner}:
            return None
        return {key: b64decode(value) for key, value in secret["data"].items()}

    async def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        kind, metadata = manifest["kind"], manifest["metadata"]
        self._count(f"apply {kind}")
        if metadata["namespace"] in self.ending:
            raise NamespaceTerminatingError("it is being terminated")
        for what in (kind, metadata["name"]):
            if what in self.refused:
                raise RejectedError("Forbidden", self.refused[what])
        return self.keep(manifest)

    async def annotate(
        self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        self._count(f"annotate {kind}")
        found = self.objects.get((kind, namespace, name))
        if found is None:
            return None
        changed = deepcopy(found)
        changed["metadata"].setdefault("annotations", {}).update(annotations)
        return self.keep(changed)

    async def delete(self, kind: str, namespace: str, name: str, uid: str | None = None) -> None:
        self._count(f"delete {kind}")
        found = self.objects.get((kind, namespace, name))
        if found is not None and uid in {None, found["metadata"]["uid"]}:
            self._collect(found)

    async def write_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        self._count("write status")
        found = self.objects.get(("SplitTrainingJob", namespace, name))
        if found is None:
            return
        if found["metadata"]["uid"] != uid:
            raise RetryableError("another one is in its place")
        self.keep({**found, "status": status})

    async def post_event(self, event: Mapping[str, Any]) -> None:
        self._count("post event")
        if all(each["metadata"] != event["metadata"] for each in self.events):
            self.events.append(dict(event))

    async def patch_event(self, namespace: str, name: str, patch: Mapping[str, Any]) -> bool:
        self._count("patch event")
        wanted = {"namespace": namespace, "name": name}
        found = next((each for each in self.events if wanted.items() <= each["metadata"].items()), None)
        if found is not None:
            found.update(patch)
        return found is not None

    async def warnings(self, namespace: str) -> Sequence[Mapping[str, Any]]:
        self.calls["read warnings"] += 1
        warnings = [each for each in self.events if each["type"] == "Warning"]
        return [each for each in warnings if each["metadata"]["namespace"] == namespace]

    async def server_report(self, pod_ip: str) -> ServerReport | None:
        self.calls["ask server"] += 1
        return self.reports.get(pod_ip)

    def keep(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Keep an object as it is given; a status that is not given stays."""
        metadata = manifest["metadata"]
        where = (manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        old = self.objects.get(where, {})
        kept = {**({"status": old["status"]} if "status" in old else {}), **deepcopy(dict(manifest))}
        old_metadata = old.get("metadata", {})
        kept["metadata"] |= {
            "uid": old_metadata.get("uid", f"uid-{next(self._numbers)}"),
            "resourceVersion": old_metadata.get("resourceVersion"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        if kept == old:
            return deepcopy(kept)
        kept["metadata"]["resourceVersion"] = str(next(self._numbers))
        self.objects[where] = kept
        return deepcopy(kept)

    def apply_job(self, manifest: Mapping[str, Any]) -> None:
        """Do as a user with kubectl."""
        metadata = manifest["metadata"]
        old = self.objects.get(("SplitTrainingJob", metadata["namespace"], metadata["name"]))
        generation = old["metadata"]["generation"] + 1 if old else 1
        self.keep({**manifest, "metadata": {**metadata, "generation": generation}})

    def remove(self, kind: str, name: str, namespace: str = "default") -> None:
        """Take an object away, and what it owns."""
        self._collect(self.objects[kind, namespace, name])

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return all objects of a kind by name."""
        return {name: each for (which, _, name), each in self.objects.items() if which == kind}

    def tell(self, stores: Stores) -> None:
        """Tell everything, as the watches do in time."""
        for resource, cache in stores.by_resource.items():
            for each in self.of(resource.kind).values():
                cache.put(each)
            for key in [key for key in cache.all() if (resource.kind, *key) not in self.objects]:
                cache.drop(key)

    def _collect(self, gone: Mapping[str, Any]) -> None:
        metadata = gone["metadata"]
        del self.objects[gone["kind"], metadata.get("namespace", ""), metadata["name"]]
        for each in [each for each in self.objects.values() if controller_uid(each) == metadata["uid"]]:
            self._collect(each)

    def _read(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self._count(f"read {kind}")
        found = self.objects.get((kind, namespace, name))
        return deepcopy(found) if found else None

    def _count(self, call: str) -> None:
        assert call.rpartition(" ")[2] in {*BY_KIND, "status", "event"}
        self.calls[call] += 1
        if self.away:
            raise RetryableError("the API server doesn't answer")

    @property
    def writes(self) -> int:
        """How much was written or tried to."""
        return sum(number for call, number in self.calls.items() if not call.startswith(("read", "ask")))
