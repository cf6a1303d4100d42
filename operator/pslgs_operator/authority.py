"""Which Secrets a certificate needs: the job's authority is read from its Secret, or made."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import CERTIFICATE_FILE, PRIVATE_KEY_FILE
from pslgs.spec.errors import InputError
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.job import Job
from pslgs_operator.manifests.secrets import authority_secret, client_secret, server_secret

AUTHORITY_LIFETIME = timedelta(days=3650)


def issue_server(
    job: Job, authority: Mapping[str, bytes] | None, action: IssueServer, now: datetime
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
    job: Job, authority: Mapping[str, bytes] | None, action: IssueClient, now: datetime
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
