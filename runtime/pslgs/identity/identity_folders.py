"""A folder with an authority and the identities that it issued, for jobs that run without a cluster."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import Identity
from pslgs.spec.errors import InputError

AUTHORITY: Final = "authority"
SERVER: Final = "server"

_AUTHORITY_LIFETIME: Final = timedelta(days=3650)


def issue_identities(
    folder: Path, server_names: Sequence[str], clients: Sequence[str], now: datetime, lifetime: timedelta
) -> list[Path]:
    """Issue the identities that a folder lacks, and return their folders; what is there is left alone.

    Args:
        folder: Has a folder for the authority, for the server and for each client; created if needed.
        server_names: Host names and addresses to which clients connect; none if the server has an identity.
        clients: Ids of the clients.
        now: Time of issue, timezone-aware.
        lifetime: Time after ``now`` for which the identities are valid.

    Raises:
        InputError: a name cannot be certified, the server has neither an identity nor a name, or the
            authority cannot be read.
        OSError: the folder cannot be written.
    """
    if reserved := {AUTHORITY, SERVER} & {*clients}:
        raise InputError.at("--clients", f"names '{reserved.pop()}', whose folder is no client's; rename it")
    is_new_server = not (folder / SERVER).exists()
    if is_new_server and not server_names:
        raise InputError.at("--server", "is missing; give the host name or address to which clients connect")
    authority = _authority(folder, now)
    issued = {SERVER: authority.issue_server(server_names, now, lifetime)} if is_new_server else {}
    for client in clients:
        if not (folder / client).exists():
            issued[client] = authority.issue_client(client, now, lifetime)
    certificate = authority.certificate_pem
    Identity(certificate, authority.private_key_pem, certificate).save(folder / AUTHORITY)
    for name, identity in issued.items():
        identity.save(folder / name)
    return [folder / name for name in issued]


def _authority(folder: Path, now: datetime) -> CertificateAuthority:
    """Return the folder's authority, whose identity it has issued itself, or a new one."""
    if not (folder / AUTHORITY).exists():
        return CertificateAuthority.create(folder.absolute().name, now, _AUTHORITY_LIFETIME)
    own = Identity.load(folder / AUTHORITY)
    return CertificateAuthority(own.certificate_pem, own.private_key_pem)
