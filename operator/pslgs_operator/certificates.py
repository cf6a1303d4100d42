"""A job's certificate authority, and the certificates that it issues and renews."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE, Identity
from pslgs.spec.errors import InputError
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildJob, ChildJobState
from pslgs_operator.training_job import TrainingJob


def authority_secret(job: TrainingJob, authority: CertificateAuthority) -> dict[str, Any]:
    """Store the authority; no pod mounts it."""
    data = {CERTIFICATE_FILE: authority.certificate_pem, PRIVATE_KEY_FILE: authority.private_key_pem}
    return _secret(child_metadata(job, names.authority_name(job.name)), data)


def server_secret(job: TrainingJob, identity: Identity) -> dict[str, Any]:
    """Store the server's identity."""
    return _secret(child_metadata(job, names.server_identity_name(job.name), names.SERVER), _files(identity))


def client_secret(job: TrainingJob, client: str, identity: Identity) -> dict[str, Any]:
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


AUTHORITY_LIFETIME = timedelta(days=3650)


def issue_server(
    job: TrainingJob, authority: Mapping[str, bytes] | None, action: IssueServer, now: datetime
) -> tuple[dict[str, Any], ...]:
    """Make the Secret of the server's certificate, after that of a new authority where there is no sound one.

    Args:
        job: The job.
        authority: Data of the Secret `names.authority_name`; None if there is none.
        action: For which hosts, and until when.
        now: The present moment.

    Raises:
        InputError: a host is neither a host name nor an IP address.
    """
    stored = _read(authority, now)
    issuer = stored or CertificateAuthority.create(f"{job.namespace}/{job.name}", now, AUTHORITY_LIFETIME)
    secret = server_secret(job, issuer.issue_server(action.hosts, now, action.expires - now))
    return (secret,) if stored else (authority_secret(job, issuer), secret)


def issue_client(
    job: TrainingJob, authority: Mapping[str, bytes] | None, action: IssueClient, now: datetime
) -> dict[str, Any]:
    """Make the Secret of a client's certificate.

    Raises:
        InputError: there is no sound authority any more, so that the server would trust nothing issued
            now; or the client's id is no DNS name.
    """
    issuer = _read(authority, now)
    if issuer is None:
        raise InputError.at(
            "",
            f"the Secret {names.authority_name(job.name)} with the job's certificate authority is gone or "
            f"damaged; set spec.suspend to true and back to false, so that all certificates are made anew",
        )
    return client_secret(job, action.client, issuer.issue_client(action.client, now, action.expires - now))


def _read(data: Mapping[str, bytes] | None, now: datetime) -> CertificateAuthority | None:
    """Take the authority out of its Secret; None where there is none, or one that is of no use any more."""
    try:
        certificate, key = (data or {})[CERTIFICATE_FILE], (data or {})[PRIVATE_KEY_FILE]
        public_key = load_pem_private_key(key, password=None).public_key()
        parsed = load_pem_x509_certificate(certificate)
    except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    sound = public_key == parsed.public_key() and parsed.not_valid_after_utc > now
    return CertificateAuthority(certificate, key) if sound else None


def renewal_time(child: ChildJob, settings: Settings) -> datetime | None:
    """Return when a child Job's certificate is to be renewed; None if it has none, or its pods are over."""
    if child.certificate_expires is None or child.deleting or child.state is not ChildJobState.ACTIVE:
        return None
    return child.certificate_expires - settings.certificate_lifetime / 3
