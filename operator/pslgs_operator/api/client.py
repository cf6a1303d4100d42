"""The Kubernetes API over HTTP."""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes.aio.client import ApiClient

from pslgs_operator import names
from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.rest import (
    APPLY,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    METADATA_ITEM,
    METADATA_ONLY,
    request,
)
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.drift import changed_fields, merge_patch
from pslgs_operator.gvk import BY_KIND, EVENTS, SECRETS, TRAINING_JOBS, WORKLOADS
from pslgs_operator.kube_client import (
    ConflictError,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.ownership import (
    NAME_TAKEN,
    Ownership,
    being_collected,
    controller_uid,
    name_taken,
    ownership,
)
from pslgs_operator.snapshot import ServerReport

T = TypeVar("T")

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
"""How often an object is read and patched that others change at the same time."""
_MOST_WARNINGS = "2000"
_IDENTITY = ("uid", "resourceVersion")
_MANAGER = {"fieldManager": names.FIELD_MANAGER}


@dataclass(frozen=True, slots=True)
class KubernetesClient:
    """Implements `pslgs_operator.kube_client.Cluster`."""

    client: ApiClient
    pages: ServerStatusClient

    async def job(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read a SplitTrainingJob; None if it is gone."""
        return await _unless_gone(request(self.client, "GET", TRAINING_JOBS.path(namespace, name)))

    async def labelled(self, kind: str, namespace: str | None) -> Sequence[Mapping[str, Any]]:
        """List the metadata of objects with a job's label in a namespace, or in all of them."""
        resource = BY_KIND[kind]
        path, query = resource.path(namespace), {"labelSelector": resource.selector}
        listed = await _unless_gone(request(self.client, "GET", path, query=query, accept=METADATA_ONLY))
        return (listed or {}).get("items") or ()

    async def authority(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read the Secret of a certificate authority, with its private key; None if there is none."""
        return await _unless_gone(request(self.client, "GET", SECRETS.path(namespace, name)))

    async def store_authority(self, secret: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Create the Secret of a certificate authority, or replace the one with its resourceVersion."""
        metadata = secret["metadata"]
        replaces = "resourceVersion" in metadata
        method, name = ("PUT", metadata["name"]) if replaces else ("POST", None)
        path = SECRETS.path(metadata["namespace"], name)
        try:
            return await request(self.client, method, path, body=secret, query=_MANAGER)
        except ApiError as error:
            if error.reason in {"AlreadyExists", "Conflict"} or (
                replaces and error.meaning is Meaning.NOT_FOUND
            ):
                return None
            raise error.as_trouble() from error

    async def create(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create a child; one of the same job that exists is returned as it is."""
        created = await self._post(manifest)
        return created if created is not None else await self._resolve(manifest)

    async def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Bring a child to this form, or create it."""
        if manifest["kind"] == SECRETS.kind:
            return await self._apply_secret(manifest)
        for _ in range(_ATTEMPTS):
            live = await self._read(manifest)
            if live is None or ownership(live, manifest) is not Ownership.OWN:
                live = await self.create(manifest)
            patch = merge_patch(manifest, live)
            if not patch:
                return live
            patched = await self._patch(live, patch)
            if patched is not None:
                return patched
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        raise RetryableError(f"{kind} {name} is being changed by somebody else at the same time")

    async def _post(self, manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Create an object; None if one of its name exists."""
        path = BY_KIND[manifest["kind"]].path(manifest["metadata"]["namespace"])
        try:
            created = await request(
                self.client, "POST", path, body=manifest, query=_MANAGER, accept=_accepted(manifest["kind"])
            )
            return {**created, "kind": manifest["kind"]}
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise error.as_trouble() from error

    async def _resolve(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the object that has a child's name, if it is the same job's."""
        live = await self._read(manifest)
        if live is None:
            raise RetryableError(f"{manifest['kind']} {manifest['metadata']['name']} was there just now")
        match ownership(live, manifest):
            case Ownership.OWN:
                return live
            case Ownership.DEPARTING:
                raise RetryableError(being_collected(live))
            case Ownership.FOREIGN:
                raise RejectedError(NAME_TAKEN, name_taken(live, manifest))
            case Ownership.ORPHAN:
                metadata = live["metadata"]
                _log.info("delete %s %s of an earlier job", manifest["kind"], metadata["name"])
                await self.delete(manifest["kind"], metadata["namespace"], metadata["name"], metadata["uid"])
        created = await self._post(manifest)
        if created is None:
            raise RetryableError(being_collected(live))
        return created

    async def _read(self, manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        metadata = manifest["metadata"]
        path = BY_KIND[manifest["kind"]].path(metadata["namespace"], metadata["name"])
        if manifest["kind"] == SECRETS.kind:
            return await self._read_metadata(manifest)
        found = await _unless_gone(request(self.client, "GET", path))
        # A list's items and a patch's answer may lack the kind; whoever reads them goes by it.
        return None if found is None else {"kind": manifest["kind"], **found}

    async def _read_metadata(self, manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Read the metadata of a Secret by a list; the operator has no right to get Secrets of jobs."""
        metadata = manifest["metadata"]
        path = BY_KIND[manifest["kind"]].path(metadata["namespace"])
        query = {"fieldSelector": f"metadata.name={metadata['name']}"}
        listed = await _or_trouble(request(self.client, "GET", path, query=query, accept=METADATA_ONLY))
        return next(({**each, "kind": manifest["kind"]} for each in listed.get("items") or ()), None)

    async def _apply_secret(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create a Secret, or own and set all its fields; no value is received."""
        live = await self._read_metadata(manifest)
        if live is None or ownership(live, manifest) is not Ownership.OWN:
            return await self.create(manifest)
        metadata = manifest["metadata"]
        same = {name: live["metadata"][name] for name in ("uid", "resourceVersion")}
        body = {**manifest, "metadata": {**metadata, **same}}
        path = SECRETS.path(metadata["namespace"], metadata["name"])
        query = {**_MANAGER, "force": "true"}
        try:
            applied = await request(
                self.client, "PATCH", path, body=body, query=query, content=APPLY, accept=METADATA_ITEM
            )
        except ApiError as error:
            if error.meaning is Meaning.NOT_FOUND or error.reason == "Conflict":
                raise RetryableError(f"Secret {metadata['name']} was changed at the same time") from error
            raise error.as_trouble() from error
        return {**applied, "kind": manifest["kind"]}

    async def _patch(self, live: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Patch an object as it was read; None if it was changed, replaced or deleted since."""
        metadata = live["metadata"]
        version = {"resourceVersion": metadata["resourceVersion"]}
        body = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        path = BY_KIND[live["kind"]].path(metadata["namespace"], metadata["name"])
        _log.info(
            "update %s %s/%s: %s",
            live["kind"], metadata["namespace"], metadata["name"], ", ".join(changed_fields(patch)),
        )  # fmt: skip
        try:
            return await request(self.client, "PATCH", path, body=body, query=_MANAGER, content=MERGE_PATCH)
        except ApiError as error:
            if error.meaning is Meaning.NOT_FOUND or error.reason == "Conflict":
                return None
            raise error.as_trouble() from error

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid and, in the background, what it owns; harmless when it is gone."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await request(self.client, "DELETE", BY_KIND[kind].path(namespace, name), body=options)
        except ApiError as error:
            if error.meaning is Meaning.NOT_FOUND or error.reason == "Conflict":
                return
            raise error.as_trouble() from error

    async def delete_child(self, kind: str, namespace: str, name: str, owner: str) -> None:
        """Delete an object that the uid ``owner`` controls; harmless when there is none, or another's."""
        found = await _unless_gone(request(self.client, "GET", BY_KIND[kind].path(namespace, name)))
        if found is not None and controller_uid(found) == owner:
            await self.delete(kind, namespace, name, found["metadata"]["uid"])

    async def write_status(
        self, job: Mapping[str, Any], status: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Replace the status of a SplitTrainingJob as it was read; returns it, or None if it is gone."""
        metadata = job["metadata"]
        patch = [
            *({"op": "test", "path": f"/metadata/{key}", "value": metadata[key]} for key in _IDENTITY),
            {"op": "add", "path": "/status", "value": status},
        ]
        path = TRAINING_JOBS.path(metadata["namespace"], metadata["name"], "status")
        try:
            return await request(self.client, "PATCH", path, body=patch, query=_MANAGER, content=JSON_PATCH)
        except ApiError as error:
            if error.is_failed_test:
                raise ConflictError("the job was changed or replaced since it was read") from error
            if error.meaning is Meaning.NOT_FOUND:
                return None
            raise error.as_trouble() from error

    async def find(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Read an object of a kind that has no namespace; None if there is none."""
        return await _unless_gone(request(self.client, "GET", BY_KIND[kind].path(name=name)))

    async def patch_workload(self, namespace: str, name: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Merge a patch into the status of the Workload with the uid and resourceVersion in it."""
        path = WORKLOADS.path(namespace, name, "status")
        try:
            patched = await request(
                self.client, "PATCH", path, body=patch, query=_MANAGER, content=MERGE_PATCH
            )
        except ApiError as error:
            if error.meaning is Meaning.NOT_FOUND or error.reason == "Conflict":
                raise ConflictError(f"Workload {name} was changed or deleted since it was read") from error
            raise error.as_trouble() from error
        return {**patched, "kind": WORKLOADS.kind}

    async def post_event(self, event: Mapping[str, Any]) -> None:
        """Create an Event; one of this name that exists already, or a terminating namespace, is no error."""
        path = EVENTS.path(event["metadata"]["namespace"])
        try:
            await request(self.client, "POST", path, body=event, query=_MANAGER)
        except ApiError as error:
            if error.reason != "AlreadyExists" and error.meaning is not Meaning.TERMINATING:
                raise error.as_trouble() from error

    async def patch_event(self, namespace: str, name: str, patch: Mapping[str, Any]) -> bool:
        """Merge a patch into an Event; False if there is no such Event."""
        path = EVENTS.path(namespace, name)
        patched = request(self.client, "PATCH", path, body=patch, query=_MANAGER, content=MERGE_PATCH)
        return await _unless_gone(patched) is not None

    async def warnings(self, namespace: str) -> Sequence[Mapping[str, Any]]:
        """List Events of the type Warning; none where they may not be read."""
        query = {"fieldSelector": "type=Warning", "limit": _MOST_WARNINGS}
        try:
            listed = await _or_trouble(request(self.client, "GET", EVENTS.path(namespace), query=query))
        except (RejectedError, NamespaceTerminatingError):
            return ()
        return listed.get("items") or ()

    async def server_report(self, pod_ip: str) -> ServerReport | None:
        """Ask a server's `/status`; None if it doesn't answer in time."""
        return await self.pages.report(pod_ip)


def _accepted(kind: str) -> str:
    """Return the media type of an answer: values of Secrets are written and never received."""
    return METADATA_ITEM if kind == SECRETS.kind else JSON


async def _or_trouble(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except ApiError as error:
        raise error.as_trouble() from error


async def _unless_gone(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except ApiError as error:
        if error.meaning is Meaning.NOT_FOUND:
            return None
        raise error.as_trouble() from error
