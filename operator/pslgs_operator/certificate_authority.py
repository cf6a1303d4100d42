"""The certificate authority of a job: what its Secret holds, and when it is replaced."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE
from pslgs.identity.pem import read_certificates, read_private_key
from pslgs_operator import names
from pslgs_operator.fields import mapping, moment, timestamp
from pslgs_operator.training_job import TrainingJob

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
OVERLAP: Final = timedelta(hours=1)
"""Time for which a new authority is trusted before it issues; kubelets update mounted Secrets in minutes."""

_NEXT_CERTIFICATE: Final = "next.crt"
_NEXT_KEY: Final = "next.key"


@dataclass(frozen=True, slots=True)
class Authority:
    """State of a job's authority.

    Attributes:
        current: Issues all certificates.
        successor: Is trusted already and will issue after ``renew_after``; None outside a replacement.
        former: Certificates of earlier authorities that are still trusted.
        renew_after: When a successor is created, or takes over.
    """

    current: CertificateAuthority
    successor: CertificateAuthority | None
    former: tuple[bytes, ...]
    renew_after: datetime

    @property
    def bundle(self) -> bytes:
        """The certificates that server and clients trust."""
        successor = (self.successor.certificate_pem,) if self.successor else ()
        return b"".join((self.current.certificate_pem, *successor, *self.former))

    @property
    def digest(self) -> str:
        """Identifies issuer and bundle; certificates with another one have to be issued anew."""
        return hashlib.sha256(self.current.certificate_pem + b"\0" + self.bundle).hexdigest()[:16]


def advanced(stored: Authority | None, job: TrainingJob, now: datetime) -> Authority:
    """Return the authority as it has to be now; ``stored`` itself where nothing is due.

    The replacement takes two steps, so that every connection succeeds during it: first the new authority is
    only trusted, then it issues while the old one is still trusted.
    """
    if stored is None:
        return Authority(_created(job, now), None, (), _half_life(now))
    if stored.renew_after > now:
        return stored
    if stored.successor is None:
        return replace(stored, successor=_created(job, now), renew_after=now + OVERLAP)
    former = (stored.current.certificate_pem, *(each for each in stored.former if _expires(each) > now))
    return Authority(stored.successor, None, former, _half_life(now))


def _created(job: TrainingJob, now: datetime) -> CertificateAuthority:
    return CertificateAuthority.create(f"{job.namespace}/{job.name}", now, AUTHORITY_LIFETIME)


def _half_life(now: datetime) -> datetime:
    return (now + AUTHORITY_LIFETIME / 2).replace(microsecond=0)


def read_authority(secret: Mapping[str, Any] | None, now: datetime) -> Authority | None:
    """Read the Secret; None where there is none, or where its authority has expired or is damaged."""
    data = _contents(mapping(secret, "data"))
    current = _read_pair(data, CERTIFICATE_FILE, PRIVATE_KEY_FILE, now)
    renew_after = moment(mapping(secret, "metadata", "annotations"), names.RENEW_ANNOTATION)
    if current is None:
        return None
    successor = _read_pair(data, _NEXT_CERTIFICATE, _NEXT_KEY, now)
    own = {each.certificate_pem for each in (current, successor) if each is not None}
    former = tuple(each for each in _certificates(data.get(AUTHORITY_FILE, b"")) if each not in own)
    return Authority(current, successor, former, renew_after or now)


def _contents(encoded_data: Mapping[str, Any]) -> dict[str, bytes]:
    """Decode what a Secret holds, without what is not base64."""
    decoded = {}
    for key, value in encoded_data.items():
        with suppress(ValueError, TypeError):
            decoded[key] = b64decode(value)
    return decoded


def _read_pair(
    data: Mapping[str, bytes], certificate: str, key: str, now: datetime
) -> CertificateAuthority | None:
    try:
        pair = CertificateAuthority(data[certificate], data[key])
        public_key = read_private_key(pair.private_key_pem).public_key()
        parsed = read_certificates(pair.certificate_pem)[0]
    except (KeyError, ValueError):
        return None
    return pair if public_key == parsed.public_key() and parsed.not_valid_after_utc > now else None


def _certificates(bundle: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(each.public_bytes(Encoding.PEM) for each in read_certificates(bundle))
    except ValueError:
        return ()


def _expires(certificate: bytes) -> datetime:
    return load_pem_x509_certificate(certificate).not_valid_after_utc


def authority_secret(
    authority: Authority, job: TrainingJob, namespace: str, version: str | None = None
) -> dict[str, Any]:
    """Return the Secret of a job's authority, which lies in the operator's namespace.

    No owner reference can point to the job from there, so a label holds its uid and annotations its name.

    Args:
        authority: The state to store.
        job: The job.
        namespace: The operator's namespace.
        version: The resourceVersion that is replaced; None for a new Secret.
    """
    pairs = {
        CERTIFICATE_FILE: authority.current.certificate_pem,
        PRIVATE_KEY_FILE: authority.current.private_key_pem,
    }
    if authority.successor is not None:
        pairs |= {
            _NEXT_CERTIFICATE: authority.successor.certificate_pem,
            _NEXT_KEY: authority.successor.private_key_pem,
        }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.authority_name(job.uid),
            "namespace": namespace,
            "labels": names.authority_labels(job.uid),
            "annotations": {
                names.JOB_NAMESPACE_ANNOTATION: job.namespace,
                names.JOB_NAME_ANNOTATION: job.name,
                names.AUTHORITY_ANNOTATION: authority.digest,
                names.RENEW_ANNOTATION: timestamp(authority.renew_after),
                names.EXPIRY_ANNOTATION: timestamp(authority.current.expires_at),
            },
            **({"resourceVersion": version} if version else {}),
        },
        "type": "kubernetes.io/tls",
        "data": encoded(pairs | {AUTHORITY_FILE: authority.bundle}),
    }


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """Encode a Secret's data."""
    return {name: b64encode(content).decode() for name, content in data.items()}
