"""Connection to the API server, and whether it knows the custom resource."""

import kopf
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from pslgs_operator import names
from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.gated import Gate, GatedClient
from pslgs_operator.api.observed import ObservedApiClient
from pslgs_operator.api.rest import request


async def configuration() -> Configuration:
    """Read the credentials anew.

    Raises:
        ConfigException: there are none.
    """
    found = Configuration()
    try:
        load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call] # theirs
    except ConfigException:
        await load_kube_config(client_configuration=found)  # type: ignore[no-untyped-call] # theirs
    return found


async def connect(gate: Gate | None = None) -> ObservedApiClient:
    """Make a client for the API server, whose writes pass ``gate`` if there is one; it has to be closed."""
    found = await configuration()
    return ObservedApiClient(found) if gate is None else GatedClient(found, gate)


async def login(**_context: object) -> kopf.ConnectionInfo:
    """Give kopf the same credentials."""
    found = await configuration()
    scheme, _, token = str(found.api_key.get("BearerToken", "")).partition(" ")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
    )


class NotInstalledError(Exception):
    """The CustomResourceDefinition is missing."""


async def require_training_jobs(client: ApiClient) -> None:
    """Check that SplitTrainingJobs are known.

    Raises:
        NotInstalledError: they are not.
        ApiError: the API server said no.
        RetryableError: it said nothing.
    """
    try:
        known = await request(client, "GET", f"/apis/{names.GROUP}/{names.VERSION}")
    except ApiError as error:
        if error.meaning is not Meaning.NOT_FOUND:
            raise
        known = {}
    if names.PLURAL not in {resource["name"] for resource in known.get("resources", ())}:
        raise NotInstalledError(
            f"the API server doesn't know {names.PLURAL}.{names.GROUP}/{names.VERSION}; "
            "install its CustomResourceDefinition: kubectl apply --server-side -f crds/"
        )
