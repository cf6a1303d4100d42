"""Read Secrets of certificates by their metadata; their values are neither needed nor received."""

from collections.abc import Mapping
from typing import Any, Final

from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE
from pslgs_operator.fields import mapping, mappings, moment, text
from pslgs_operator.names import (
    AUTHORITY_ANNOTATION,
    CLIENT_ANNOTATION,
    FIELD_MANAGER,
    HOSTS_ANNOTATION,
    RENEW_ANNOTATION,
)
from pslgs_operator.snapshot import CertificateSecret

_KEYS: Final = frozenset(f"f:{key}" for key in (CERTIFICATE_FILE, PRIVATE_KEY_FILE, AUTHORITY_FILE))


def read_certificate_secret(body: Mapping[str, Any]) -> CertificateSecret:
    """Read the Secret of a certificate or of an authority."""
    metadata = mapping(body, "metadata")
    annotations = mapping(metadata, "annotations")
    return CertificateSecret(
        name=body["metadata"]["name"],
        uid=text(metadata, "uid"),
        client=text(annotations, CLIENT_ANNOTATION) or None,
        hosts=text(annotations, HOSTS_ANNOTATION),
        authority=text(annotations, AUTHORITY_ANNOTATION),
        renew_after=moment(annotations, RENEW_ANNOTATION),
        complete=_is_complete(metadata),
    )


def _is_complete(metadata: Mapping[str, Any]) -> bool:
    """Return whether the operator was the last to write each key.

    Who sets another value takes over the field from its manager; who removes it removes the field.
    """
    owned: set[str] = set()
    for each in mappings(metadata, "managedFields"):
        if text(each, "manager") == FIELD_MANAGER:
            owned |= mapping(each, "fieldsV1", "f:data").keys()
    return owned >= _KEYS
