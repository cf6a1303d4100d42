"""Credentials of the cluster: those of the pod, or of a kubeconfig outside of one."""

import kopf
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config


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


async def connect() -> ApiClient:
    """Make a client for the API server; it has to be closed."""
    return ApiClient(await configuration())


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
