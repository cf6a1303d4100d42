"""Reading certificates and private keys that may be damaged."""

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """Read PEM certificates; at least one.

    Raises:
        ValueError: there is none, or one of an unknown version, or with a key that cannot be used.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        for certificate in certificates:
            certificate.public_key()  # parsed only now
    except _UNREADABLE as error:
        raise ValueError(f"not a certificate: {error}") from error
    return certificates


def read_private_key(pem: bytes) -> "PrivateKeyTypes":
    """Read an unencrypted PEM private key.

    Raises:
        ValueError: it is none, or cannot be used.
    """
    try:
        return load_pem_private_key(pem, password=None)
    except _UNREADABLE as error:
        raise ValueError(f"not an unencrypted private key: {error}") from error
