"""Lists objects' versions for the audit."""

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.requests import METADATA_ONLY, request
from pslgs_operator.audit import Listing
from pslgs_operator.cache import ObjectKey, object_key
from pslgs_operator.resources import Resource

_CHUNK = 500


async def list_versions(client: ApiClient, resource: Resource, namespace: str | None) -> Listing:
    """List all objects of a kind that the operator looks at, without their contents.

    Raises:
        ApiError: the API server said no.
        UnavailableError: it said nothing.
    """
    query = {"limit": str(_CHUNK)} | ({"labelSelector": resource.selector} if resource.selector else {})
    objects: dict[ObjectKey, str] = {}
    more: dict[str, str] = {}
    while True:
        answer = await request(
            client, "GET", resource.path(namespace), query=query | more, accept=METADATA_ONLY
        )
        objects |= {object_key(item): item["metadata"]["resourceVersion"] for item in answer["items"] or ()}
        metadata = answer["metadata"]
        if not metadata.get("continue"):
            return Listing(metadata["resourceVersion"], objects)
        more = {"continue": metadata["continue"]}
