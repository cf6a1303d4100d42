"""Certificates of a run on this machine; they end with it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pslgs.identity.authority import CertificateAuthority

_LIFETIME = timedelta(days=365)


def issue(folder: Path, name: str, clients: Iterable[str]) -> None:
    """Make an authority and put identities into ``folder``: ``server`` and one named after each client."""
    now = datetime.now(UTC)
    authority = CertificateAuthority.create(name, now, _LIFETIME)
    authority.issue_server(["localhost", "127.0.0.1"], now, _LIFETIME).save(folder / "server")
    for client in clients:
        authority.issue_client(client, now, _LIFETIME).save(folder / client)
