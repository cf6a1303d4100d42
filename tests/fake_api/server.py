"""An API server in memory: requests in, answers out, with the semantics that an operator depends on."""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fake_api.answers import (
    StatusError,
    already_exists,
    field_conflict,
    invalid,
    namespace_terminating,
    not_found,
)
from fake_api.bodies import Body, copied
from fake_api.fieldsets import leaves, merge, owned_part, readable, remove
from fake_api.garbage import check_preconditions, check_uid, collect, delete, finish
from fake_api.kinds import KINDS, Kind
from fake_api.patches import json_patched, merge_patched
from fake_api.selectors import matches_fields, matches_labels
from fake_api.storage import Key, Manager, Owners, Storage

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content: str = "application/json"
    accept: str = "application/json"
    agent: str = "unknown"

    @classmethod
    def parse(cls, method: str, url: str, headers: Mapping[str, str], body: Any) -> "Request":
        """Read a request with a whole URL and headers."""
        parts = urlsplit(url)
        lowered = {name.lower(): value for name, value in headers.items()}
        return cls(
            method,
            parts.path,
            dict(parse_qsl(parts.query)),
            body,
            lowered.get("content-type", "application/json"),
            lowered.get("accept", "application/json"),
            lowered.get("user-agent", "unknown").partition("/")[0],
        )

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    @property
    def manager(self) -> str:
        return self.query.get("fieldManager") or self.agent


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; that of a watch is one with all events up to now, under ``watched``."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points to."""

    kind: Kind
    namespace: str
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return Key(self.kind.kind, self.namespace, self.name)


Admission = Callable[[str, Kind, Body], None]


@dataclass
class FakeApiServer:
    """Answers requests.

    Attributes:
        namespaces: Those that are there; False for those that are being deleted.
        admission: Are asked about every object that is created or updated, and may raise `StatusError`.
        collects: Whether the garbage collector acts after every request, or only when it is told to.
    """

    storage: Storage = field(default_factory=Storage)
    namespaces: dict[str, bool] = field(default_factory=lambda: {"default": True})
    admission: list[Admission] = field(default_factory=list)
    collects: bool = True

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        try:
            status, body = self._dispatch(request)
        except StatusError as error:
            return Answer(error.status, error.body, error.headers)
        if self.collects and request.method != "GET":
            collect(self.storage)
        return Answer(status, _as_asked(body, request.accept))

    def collect(self) -> None:
        """Have the garbage collector do what it has to."""
        collect(self.storage)

    def target(self, path: str) -> Target:
        """Find what a path points to."""
        parts = path.strip("/").split("/")
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = KINDS.get((group, rest[0]))
        if kind is None:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        return Target(kind, namespace, *rest[1:3])

    def watch(self, request: Request) -> Iterator[dict[str, Any]]:
        """Yield the events since the version of a watch request, as far as its selectors let through."""
        target, since = self.target(request.path), int(request.query.get("resourceVersion") or 0)
        if since < self.storage.oldest:
            raise StatusError(410, "Expired", f"too old resource version: {since}")
        log = self.storage.log
        for each in log[bisect_right(log, since, key=attrgetter("version")) :]:
            if each.key.kind != target.kind.kind:
                continue
            was = each.before is not None and self._is_listed(request, target, each.key, each.before)
            now = each.type != "DELETED" and self._is_listed(request, target, each.key, each.body)
            if was or now:
                kind = ("MODIFIED" if was else "ADDED") if now else "DELETED"
                yield {"type": kind, "object": _as_asked(each.body, request.accept)}
        if request.query.get("allowWatchBookmarks") == "true":
            metadata = {"resourceVersion": str(self.storage.version), "creationTimestamp": None}
            body = {"kind": target.kind.kind, "apiVersion": target.kind.api_version, "metadata": metadata}
            yield {"type": "BOOKMARK", "object": body}

    def _dispatch(self, request: Request) -> tuple[int, Mapping[str, Any]]:
        parts = request.path.strip("/").split("/")
        if request.method == "GET" and len(parts) == (2 if parts[0] == "api" else 3):
            return 200, _discovery(request.path)
        target = self.target(request.path)
        if request.method == "GET":
            return 200, self._get(request, target)
        if request.method == "POST":
            return 201, self._create(request, target)
        if request.method == "PATCH" and request.content.startswith(APPLY):
            return self._apply(request, target)
        if request.method in {"PATCH", "PUT"}:
            return 200, self._update(request, target)
        if request.method == "DELETE":
            return 200, self._delete(request, target)
        raise StatusError(405, "MethodNotAllowed", "the server does not allow this method")

    def _get(self, request: Request, target: Target) -> Mapping[str, Any]:
        if target.name:
            return self._read(target)
        if request.query.get("watch") == "true":
            return {"watched": list(self.watch(request))}
        return self._list(request, target)

    def _read(self, target: Target) -> Body:
        found = self.storage.objects.get(target.key)
        if found is None:
            raise not_found(target.kind.plural, target.name, target.kind.group)
        return copied(found)

    def _list(self, request: Request, target: Target) -> Body:
        found = sorted(
            key
            for key, body in self.storage.objects.items()
            if key.kind == target.kind.kind and self._is_listed(request, target, key, body)
        )
        start = int(request.query.get("continue") or 0)
        end = start + int(request.query.get("limit") or 0 or len(found) + 1)
        metadata = {"resourceVersion": str(self.storage.version)}
        if end < len(found):
            metadata["continue"] = str(end)
        return {
            "apiVersion": target.kind.api_version,
            "kind": f"{target.kind.kind}List",
            "metadata": metadata,
            "items": [copied(self.storage.objects[key]) for key in found[start:end]],
        }

    def _is_listed(self, request: Request, target: Target, key: Key, body: Mapping[str, Any]) -> bool:
        return (
            target.namespace in {"", key.namespace}
            and matches_labels(request.query.get("labelSelector", ""), body["metadata"].get("labels") or {})
            and matches_fields(request.query.get("fieldSelector", ""), body)
        )

    def _create(self, request: Request, target: Target) -> Body:
        body = copied(request.body)
        metadata = body.setdefault("metadata", {})
        if target.kind.namespaced:
            metadata.setdefault("namespace", target.namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + _suffix(self.storage.number())
        if not metadata.get("name"):
            raise invalid(target.kind.kind, "", "metadata.name", "name or generateName is required")
        self._check_namespace(target.namespace, metadata["name"])
        self._admit("CREATE", target.kind, body)
        if self.storage.key(target.kind, body) in self.storage.objects:
            raise already_exists(target.kind.plural, metadata["name"])
        manager = Manager(request.manager, "Update")
        return self.storage.create(target.kind, body, manager, dry_run=request.dry_run)

    def _update(self, request: Request, target: Target) -> Body:
        old = self._read(target)
        if request.method == "PUT":
            new = copied(request.body)
            new.setdefault("metadata", {}).setdefault("namespace", target.namespace)
        elif request.content == JSON_PATCH:
            new = json_patched(old, request.body)
        else:
            new = merge_patched(old, request.body)
        if request.method == "PATCH":
            check_uid(target.kind, old, new["metadata"])
        check_preconditions(target.kind, old, new["metadata"])
        self._admit("UPDATE", target.kind, new)
        manager = Manager(request.manager, "Update", target.subresource)
        changed = self.storage.update(target.kind, new, manager, dry_run=request.dry_run)
        finish(self.storage, target.key)
        return changed

    def _apply(self, request: Request, target: Target) -> tuple[int, Body]:
        config = copied(request.body)
        metadata = config.setdefault("metadata", {})
        if "fieldManager" not in request.query:
            raise invalid("PatchOptions", "", "fieldManager", "is required for apply patch")
        if metadata.get("managedFields"):
            raise StatusError(400, "BadRequest", "metadata.managedFields must be nil")
        manager = Manager(request.manager, "Apply", target.subresource)
        if target.key not in self.storage.objects:
            if metadata.get("uid"):
                raise StatusError(409, "Conflict", "uid mismatch: the object does not exist")
            if target.subresource:
                raise not_found(target.kind.plural, target.name, target.kind.group)
            metadata |= {"namespace": target.namespace} if target.kind.namespaced else {}
            self._check_namespace(target.namespace, target.name)
            self._admit("CREATE", target.kind, config)
            return 201, self.storage.create(target.kind, config, manager, dry_run=request.dry_run)
        old = self.storage.objects[target.key]
        check_uid(target.kind, old, metadata)
        check_preconditions(target.kind, old, metadata)
        forced = request.query.get("force") == "true"
        new, owners = self._laid_over(old, config, target, manager, forced=forced)
        self._admit("UPDATE", target.kind, new)
        return 200, self.storage.update(target.kind, new, manager, owners, dry_run=request.dry_run)

    def _laid_over(
        self, old: Body, config: Body, target: Target, manager: Manager, *, forced: bool
    ) -> tuple[Body, Owners]:
        status = target.subresource == "status" or (not target.kind.has_status and "status" in config)
        part = owned_part(config, status=target.subresource == "status")
        live = leaves(owned_part(old, status=bool(status)))
        applied = leaves(part)
        owners = dict(self.storage.owners[target.key])
        changed = {path for path, value in applied.items() if path in live and live[path] != value}
        taken = {
            readable(path): other.name
            for other, paths in owners.items()
            if other != manager
            for path in sorted(paths & changed)
        }
        if taken and not forced:
            raise field_conflict(taken)
        before = owners.pop(manager, frozenset())
        owners = {other: paths - changed for other, paths in owners.items()}
        owned_by_others = frozenset().union(*owners.values()) if owners else frozenset()
        new = merge(old, part)
        remove(new, before - applied.keys() - owned_by_others)
        owners = {**owners, manager: frozenset(applied)}
        return new, {each: paths for each, paths in owners.items() if paths}

    def _delete(self, request: Request, target: Target) -> Body:
        self._read(target)
        options = {**(request.body or {})}
        if policy := request.query.get("propagationPolicy"):
            options["propagationPolicy"] = policy
        return copied(delete(self.storage, target.kind, target.key, options))

    def _check_namespace(self, namespace: str, name: str) -> None:
        if namespace and namespace not in self.namespaces:
            raise not_found("namespaces", namespace)
        if namespace and not self.namespaces[namespace]:
            raise namespace_terminating(name, namespace)

    def _admit(self, verb: str, kind: Kind, body: Body) -> None:
        for ask in self.admission:
            ask(verb, kind, body)


def _suffix(number: int) -> str:
    letters = random.Random(number)  # noqa: S311 - a name, not a secret
    return "".join(letters.choices("bcdfghjklmnpqrstvwxz2456789", k=5))


def _discovery(path: str) -> Body:
    parts = path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    found = [{"name": each.plural, "kind": each.kind} for (of, _), each in KINDS.items() if of == group]
    if not found:
        raise StatusError(404, "NotFound", "the server could not find the requested resource")
    return {"kind": "APIResourceList", "resources": found}


def _as_asked(body: Mapping[str, Any], accept: str) -> Mapping[str, Any]:
    if "as=PartialObjectMetadata" not in accept or "watched" in body:
        return body
    if "items" in body:
        items = [{"metadata": each["metadata"]} for each in body["items"]]
        return {"kind": "PartialObjectMetadataList", "metadata": body["metadata"], "items": items}
    return {"kind": "PartialObjectMetadata", "metadata": body.get("metadata")}
