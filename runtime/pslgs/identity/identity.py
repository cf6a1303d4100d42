"""Certificate, private key and trusted authority of a process, reloaded when their files change."""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from pslgs.identity.pem import read_certificates, read_private_key
from pslgs.spec.errors import InputError, Violation

CERTIFICATE_FILE = "tls.crt"
PRIVATE_KEY_FILE = "tls.key"
AUTHORITY_FILE = "ca.crt"


_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

DNS_NAME_RULE = (
    "must consist of lower-case letters, digits, '-' and '.', start and end with a letter or digit, "
    "also between dots, and have 253 characters at most"
)
"""The rule that `is_dns_name` checks, as the predicate of a sentence."""

_MINUTE = "%Y-%m-%d %H:%M"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Certificate and private key of a server or client, with the authority that it trusts, as PEM.

    The files have the names of a Kubernetes Secret of type ``kubernetes.io/tls``.

    Attributes:
        certificate_pem: The certificate that is presented to peers.
        private_key_pem: The private key of the certificate, unencrypted.
        ca_pem: The certificate of the authority that must have issued the certificates of peers.
    """

    certificate_pem: bytes
    private_key_pem: bytes = field(repr=False)
    ca_pem: bytes

    @property
    def expires_at(self) -> datetime:
        """Time (UTC) at which the certificate expires."""
        return x509.load_pem_x509_certificate(self.certificate_pem).not_valid_after_utc

    def problem_at(self, now: datetime) -> str | None:
        """Return why the certificate is not valid at a time (aware), as a sentence; None if it is."""
        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if begin <= now <= end:
            return None
        return (
            f"The certificate of this process is valid from {begin:{_MINUTE}} to {end:{_MINUTE}} UTC, but "
            f"its clock says {now.astimezone(UTC):{_MINUTE}}: set the clock, or renew the certificate."
        )

    def save(self, folder: Path) -> None:
        """Write the three files into ``folder``, created if needed; the private key gets the mode 0600."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CERTIFICATE_FILE).write_bytes(self.certificate_pem)
        (folder / AUTHORITY_FILE).write_bytes(self.ca_pem)
        _write_private(folder / PRIVATE_KEY_FILE, self.private_key_pem)

    @classmethod
    def load(cls, folder: Path) -> "Identity":
        """Read the three files in ``folder`` and check that they belong together.

        Raises:
            InputError: a file is missing, unreadable or not PEM, or the private key does not belong to the
                certificate.
        """
        names = (CERTIFICATE_FILE, PRIVATE_KEY_FILE, AUTHORITY_FILE)
        results = [_read(folder / name) for name in names]
        violations = [result for result in results if isinstance(result, Violation)]
        if violations:
            raise InputError(*violations)
        identity = cls(*(result for result in results if isinstance(result, bytes)))
        _check(identity, folder)
        return identity


IdentitySource = Callable[[], Identity]
"""Function that returns the identity for the next connection."""


def renewed_from(folder: Path) -> IdentitySource:
    """Return a source that reads the identity in ``folder`` again on each call.

    If the files are invalid, for example because they are being replaced, the source logs a warning and
    returns the previous identity.

    Raises:
        InputError: the first identity cannot be loaded.
    """
    current = Identity.load(folder)

    def source() -> Identity:
        nonlocal current
        try:
            current = Identity.load(folder)
        except InputError as error:
            _logger.warning("the identity is not renewed: %s", error)
        return current

    return source


def is_dns_name(text: str) -> bool:
    """Return whether ``text`` is a DNS name as Kubernetes requires for the names of nodes.

    Ids of clients have the form ``<node>-<number>``.
    """
    return len(text) <= 253 and _DNS_NAME.fullmatch(text) is not None


def _write_private(path: Path, content: bytes) -> None:
    # An existing file may be readable by others, so its mode is set before the key is written.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)


def _read(path: Path) -> bytes | Violation:
    try:
        return path.read_bytes()
    except OSError as error:
        return Violation(
            str(path),
            f"cannot be read ({error.strerror}); give a folder with "
            f"{CERTIFICATE_FILE}, {PRIVATE_KEY_FILE} and {AUTHORITY_FILE}",
        )


def _check(identity: Identity, folder: Path) -> None:
    certificate = _certificate(folder / CERTIFICATE_FILE, identity.certificate_pem)
    _certificate(folder / AUTHORITY_FILE, identity.ca_pem)
    path = str(folder / PRIVATE_KEY_FILE)
    try:
        key = read_private_key(identity.private_key_pem)
    except ValueError as error:
        raise InputError.at(path, "is not an unencrypted PEM private key; issue a new identity") from error
    if key.public_key() != certificate.public_key():
        raise InputError.at(path, f"does not belong to {CERTIFICATE_FILE} beside it; issue a new identity")


def _certificate(path: Path, pem: bytes) -> x509.Certificate:
    try:
        return read_certificates(pem)[0]
    except ValueError as error:
        raise InputError.at(str(path), "is not a PEM certificate; issue a new identity") from error
