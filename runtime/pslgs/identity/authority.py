"""The certificate authority of a job, which issues the certificates of its server and clients."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pslgs.identity.identity import DNS_NAME_RULE, Identity, is_dns_name
from pslgs.spec.errors import InputError

CLOCK_SKEW = timedelta(days=1)
"""Time before the issue from which certificates are valid, because clocks of peers may be behind.

That covers a clock of local time that is read as UTC, which is at most 14 hours wrong, and its correction.
"""

_COMMON_NAME_LENGTH = 64  # upper bound of X.520; peers check the subject alternative names only


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """The certificate authority of one job, with a key on the curve P-256.

    Attributes:
        certificate_pem: The authority's self-signed certificate.
        private_key_pem: The authority's private key, unencrypted.  These two are its whole state.
    """

    certificate_pem: bytes
    private_key_pem: bytes = field(repr=False)

    @classmethod
    def create(cls, name: str, now: datetime, lifetime: timedelta) -> "CertificateAuthority":
        """Create an authority with a new key and a self-signed certificate.

        Args:
            name: Common name of the authority.
            now: Time of issue; like every ``now`` of this class, it must be timezone-aware.
            lifetime: Time after ``now`` for which the authority is valid.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _common_name(name)
        builder = _builder(subject, subject, key.public_key(), now, now + lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        return cls(builder.sign(key, SHA256()).public_bytes(Encoding.PEM), _private_pem(key))

    @property
    def expires_at(self) -> datetime:
        """Time (UTC) at which the authority, and with it every certificate that it issued, expires."""
        return self._certificate().not_valid_after_utc

    def issue_server(self, names: Sequence[str], now: datetime, lifetime: timedelta) -> Identity:
        """Issue the identity of the server.

        Args:
            names: Host names and IP addresses to which clients connect.
            now: Time of issue.
            lifetime: Time after ``now`` for which the certificate is valid, at most until the authority
                expires.

        Raises:
            InputError: there is no name, or one is neither a host name nor an IP address.
        """
        if not names:
            raise InputError.at(
                "", "A server's certificate needs a name; give the address to which clients connect."
            )
        return self._issue(
            names[0], [_host(name) for name in names], ExtendedKeyUsageOID.SERVER_AUTH, now, lifetime
        )

    def issue_client(self, client_id: str, now: datetime, lifetime: timedelta) -> Identity:
        """Issue the identity of a client.

        Args:
            client_id: Id of the client, which becomes the only DNS name of the certificate.
            now: Time of issue.
            lifetime: Time after ``now`` for which the certificate is valid, at most until the authority
                expires.

        Raises:
            InputError: ``client_id`` is not a DNS name.
        """
        if not is_dns_name(client_id):
            raise InputError.at("", f"The client id {client_id!r} {DNS_NAME_RULE}.")
        return self._issue(
            client_id, [x509.DNSName(client_id)], ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime
        )

    def _issue(
        self,
        common_name: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
    ) -> Identity:
        issuer = self._certificate()
        authority_key = self._private_key()
        key = ec.generate_private_key(ec.SECP256R1())
        expiry = min(now + lifetime, issuer.not_valid_after_utc)
        builder = _builder(_common_name(common_name), issuer.subject, key.public_key(), now, expiry)
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([usage]), False),
            (x509.SubjectAlternativeName(names), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(authority_key, SHA256())
        return Identity(certificate.public_bytes(Encoding.PEM), _private_pem(key), self.certificate_pem)

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem)

    def _private_key(self) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key(self.private_key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InputError.at("", "The authority's key is not an elliptic curve key; create a new one.")
        return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    expiry: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(expiry)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_LENGTH])])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    host = name.lower()
    if not is_dns_name(host):
        raise InputError.at("", f"The server name {name!r} is not an IP address, so it {DNS_NAME_RULE}.")
    return x509.DNSName(host)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
