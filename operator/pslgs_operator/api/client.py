"""The Kubernetes API over HTTP."""

from base64 import b64decode
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes.aio.client import ApiClient

from pslgs_operator import names
from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.rest import APPLY, JSON_PATCH, MERGE_PATCH, request
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.gvk import BY_KIND, EVENTS, SECRETS, TRAINING_JOBS
from pslgs_operator.kube_client import NamespaceTerminatingError, RejectedError, RetryableError
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.store import controller_uid

T = TypeVar("T")

_MOST_WARNINGS = "2000"
_MANAGER = {"fieldManager": names.FIELD_MANAGER}


@dataclass(frozen=True, slots=True)
class KubernetesClient:
    """Implements `pslgs_operator.kube_client.Cluster`."""

    client: ApiClient
    pages: ServerStatusClient

    async def job(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read a SplitTrainingJob; None if it is gone."""
        return await _unless_gone(request(self.client, "GET", TRAINING_JOBS.path(namespace, name)))

    async def secret(self, namespace: str, name: str, owner: str) -> Mapping[str, bytes] | None:
        """Read a Secret's data; None if there is none, or if another uid than ``owner`` controls it."""
        secret = await _unless_gone(request(self.client, "GET", SECRETS.path(namespace, name)))
        if secret is None or controller_uid(secret) not in {None, owner}:
            return None
        return {key: b64decode(value) for key, value in (secret.get("data") or {}).items()}

    async def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make an object, or bring it to this form; returns it as the API server has it now."""
        metadata = manifest["metadata"]
        path = BY_KIND[manifest["kind"]].path(metadata["namespace"], metadata["name"])
        query = {**_MANAGER, "force": "true"}
        return await _or_trouble(
            request(self.client, "PATCH", path, body=manifest, query=query, content=APPLY)
        )

    async def annotate(
        self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Set annotations of an object and leave all else; returns it as it is now, None if it is gone."""
        path = BY_KIND[kind].path(namespace, name)
        patch = {"metadata": {"annotations": annotations}}
        return await _unless_gone(
            request(self.client, "PATCH", path, body=patch, query=_MANAGER, content=MERGE_PATCH)
        )

    async def delete(self, kind: str, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object and, in the background, what it owns; harmless when it is gone."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await request(self.client, "DELETE", BY_KIND[kind].path(namespace, name), body=options)
        except ApiError as error:
            if error.meaning is Meaning.NOT_FOUND or (uid is not None and error.reason == "Conflict"):
                return
            raise error.as_trouble() from error

    async def write_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        """Replace the status of the SplitTrainingJob with this uid; harmless when it is gone."""
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = TRAINING_JOBS.path(namespace, name, "status")
        try:
            await request(self.client, "PATCH", path, body=patch, query=_MANAGER, content=JSON_PATCH)
        except ApiError as error:
            if error.is_failed_test:
                raise RetryableError("another job of the same name has taken its place") from error
            if error.meaning is not Meaning.NOT_FOUND:
                raise error.as_trouble() from error

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
