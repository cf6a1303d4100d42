"""Secrets: the job's certificate authority, and the identities of its server and clients."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE, Identity
from pslgs_operator import names
from pslgs_operator.job import Job
from pslgs_operator.manifests.child import child_metadata


def authority_secret(job: Job, authority: CertificateAuthority) -> dict[str, Any]:
    """Store the authority; no pod mounts it."""
    data = {CERTIFICATE_FILE: authority.certificate_pem, PRIVATE_KEY_FILE: authority.private_key_pem}
    return _secret(child_metadata(job, names.authority_name(job.name)), data)


def server_secret(job: Job, identity: Identity) -> dict[str, Any]:
    """Store the server's identity."""
    return _secret(child_metadata(job, names.server_identity_name(job.name), names.SERVER), _files(identity))


def client_secret(job: Job, client: str, identity: Identity) -> dict[str, Any]:
    """Store a client's identity."""
    metadata = child_metadata(
        job, names.client_identity_name(job.name, client), names.CLIENT, {names.CLIENT_ANNOTATION: client}
    )
    return _secret(metadata, _files(identity))


def _files(identity: Identity) -> dict[str, bytes]:
    return {
        CERTIFICATE_FILE: identity.certificate_pem,
        PRIVATE_KEY_FILE: identity.private_key_pem,
        AUTHORITY_FILE: identity.ca_pem,
    }


def _secret(metadata: dict[str, Any], data: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/tls",
        "data": {name: b64encode(content).decode() for name, content in data.items()},
    }
