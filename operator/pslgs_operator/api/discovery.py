"""What the API server knows."""

from kubernetes.aio.client import ApiClient

from pslgs_operator import names
from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.requests import request


class NotInstalledError(Exception):
    """The CustomResourceDefinition is missing."""


async def require_training_jobs(client: ApiClient) -> None:
    """Check that SplitTrainingJobs are known.

    Raises:
        NotInstalledError: they are not.
        ApiError: the API server said no.
        UnavailableError: it said nothing.
    """
    try:
        known = await request(client, "GET", f"/apis/{names.GROUP}/{names.VERSION}")
    except ApiError as error:
        if error.meaning is not Meaning.GONE:
            raise
        known = {}
    if names.PLURAL not in {resource["name"] for resource in known.get("resources", ())}:
        raise NotInstalledError(
            f"the API server doesn't know {names.PLURAL}.{names.GROUP}/{names.VERSION}; "
            "install its CustomResourceDefinition: kubectl apply --server-side -f crds/"
        )
