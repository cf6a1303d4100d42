"""The cluster's certificate authority, certificates and kubeconfigs."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=365)
_BOTH_SIDES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificate authority of one instance, kept in its folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What every component trusts."""
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        """What signs."""
        return self.folder / "ca.key"

    @property
    def token_key(self) -> Path:
        """What signs the tokens of service accounts."""
        return self.folder / "service-accounts.key"

    def create(self) -> None:
        """Make the authority, and the key that signs tokens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("pslgs-test-ca", ())
        builder = _builder(name, name, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
        _write_key(self.key, key)
        _write_key(self.token_key, rsa.generate_private_key(65537, 2048))

    def issue(
        self, user: str, groups: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        """Issue a certificate for a user, or for a server that has ``addresses``; return it and its key."""
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        signer = load_pem_private_key(self.key.read_bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(user, groups), issuer.subject, key.public_key()).add_extension(
            x509.ExtendedKeyUsage(_BOTH_SIDES), critical=False
        )
        if addresses:
            names = x509.SubjectAlternativeName([_general(address) for address in addresses])
            builder = builder.add_extension(names, critical=False)
        stem = user.replace(":", "-") + ("-serving" if addresses else "")
        certificate = self.folder / f"{stem}.crt"
        certificate.write_bytes(builder.sign(signer, SHA256()).public_bytes(Encoding.PEM))
        return certificate, _write_key(self.folder / f"{stem}.key", key)

    def write_kubeconfig(self, path: Path, server: str, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig for a new client certificate (JSON is YAML)."""
        certificate, key = self.issue(user, groups)
        credentials = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "pslgs",
            "clusters": [{"name": "pslgs", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "pslgs", "context": {"cluster": "pslgs", "user": user}}],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config, indent=2))
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + _LIFETIME)
    )


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    """Kubernetes reads the user from the common name, and the groups from the organisations."""
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _write_key(path: Path, key: CertificateIssuerPrivateKeyTypes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
