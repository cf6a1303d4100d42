"""Certificates of a job's server and clients: their Secrets, and when they are issued anew."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE, Identity
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.certificate_authority import Authority, encoded
from pslgs_operator.fields import timestamp
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import CertificateSecret, Snapshot
from pslgs_operator.training_job import TrainingJob


def certificate_secret(
    job: TrainingJob,
    authority: Authority,
    action: IssueServer | IssueClient,
    settings: Settings,
    now: datetime,
) -> dict[str, Any]:
    """Issue a certificate and return its Secret; what has to be known of it later is in annotations.

    Raises:
        InputError: a host of the server is neither a host name nor an IP address, or the client's id is no
            DNS name.
    """
    lifetime = settings.certificate_lifetime
    match action:
        case IssueServer(hosts):
            name, role = names.server_identity_name(job.name), names.SERVER
            identity = authority.current.issue_server(hosts, now, lifetime)
            subject = {names.HOSTS_ANNOTATION: _written(hosts)}
        case IssueClient(client):
            name, role = names.client_identity_name(job.name, client), names.CLIENT
            identity = authority.current.issue_client(client, now, lifetime)
            subject = {names.CLIENT_ANNOTATION: client}
    annotations = {
        **subject,
        names.AUTHORITY_ANNOTATION: authority.digest,
        names.EXPIRY_ANNOTATION: timestamp(identity.expires_at) or "",
        names.RENEW_ANNOTATION: timestamp(now + (identity.expires_at - now) * 2 / 3) or "",
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": child_metadata(job, name, role, annotations),
        "type": "kubernetes.io/tls",
        "data": encoded(_files(replace(identity, ca_pem=authority.bundle))),
    }


def _files(identity: Identity) -> dict[str, bytes]:
    return {
        CERTIFICATE_FILE: identity.certificate_pem,
        PRIVATE_KEY_FILE: identity.private_key_pem,
        AUTHORITY_FILE: identity.ca_pem,
    }


def _written(hosts: Sequence[str]) -> str:
    return ",".join(hosts)


def server_certificate_due(job: TrainingJob, snapshot: Snapshot, hosts: Sequence[str], now: datetime) -> bool:
    """Return whether the server's certificate has to be issued (anew) to be valid for these hosts."""
    secret = snapshot.certificates.get(names.server_identity_name(job.name))
    return _is_due(secret, snapshot, now) or (secret is not None and secret.hosts != _written(hosts))


def client_certificate_due(job: TrainingJob, snapshot: Snapshot, client: str, now: datetime) -> bool:
    """Return whether a client's certificate has to be issued (anew)."""
    secret = snapshot.certificates.get(names.client_identity_name(job.name, client))
    return _is_due(secret, snapshot, now) or (secret is not None and secret.client != client)


def renewal_times(snapshot: Snapshot) -> Iterator[datetime]:
    """Yield when certificates and the authority have to be renewed."""
    for secret in (*snapshot.certificates.values(), *((snapshot.authority,) if snapshot.authority else ())):
        if secret.renew_after is not None:
            yield secret.renew_after


def _is_due(secret: CertificateSecret | None, snapshot: Snapshot, now: datetime) -> bool:
    authority = snapshot.authority
    return (
        authority is None
        or _is_over(authority, now)
        or secret is None
        or _is_over(secret, now)
        or secret.authority != authority.authority
    )


def _is_over(secret: CertificateSecret, now: datetime) -> bool:
    return not secret.complete or secret.renew_after is None or secret.renew_after <= now
