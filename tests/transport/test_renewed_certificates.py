"""New connections use renewed certificates; existing connections stay open."""

import asyncio
import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import Identity, renewed_from
from pslgs.transport.errors import Unreachable
from pslgs.transport.messages import control_frame
from pslgs.transport.v1.training_pb2 import Abort, Header
from transport.loopback import DEADLINE, connecting, serving

pytestmark = pytest.mark.timeout(60)
DAY = timedelta(days=1)


def issue(authority: CertificateAuthority) -> Identity:
    return authority.issue_server(["127.0.0.1"], datetime.now(UTC), DAY)


def served_certificate(port: int, client: Identity, folder) -> bytes:
    """Shake hands as a client of another make would, and return what the server showed."""
    client.save(folder)
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.set_alpn_protocols(["h2"])
    with closing(socket.socket()) as plain:
        plain.settimeout(DEADLINE)
        plain.connect(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()


async def answers(connection, step: int) -> bool:
    async with asyncio.timeout(DEADLINE):
        await connection.send([control_frame(Header(abort=Abort(step=step)))])
        return (await connection.receive()).header.abort.step == step


async def test_a_server_shows_its_renewed_certificate_to_new_connections(
    authority, client_identity, tmp_path
):
    old, new = issue(authority), issue(authority)
    old.save(tmp_path / "server")
    async with serving(identity=renewed_from(tmp_path / "server")) as served:
        look = (served_certificate, served.port, client_identity, tmp_path / "client")
        assert await asyncio.to_thread(*look) == old.certificate_pem
        async with connecting(served.address, client_identity) as earlier:
            new.save(tmp_path / "server")
            assert await asyncio.to_thread(*look) == new.certificate_pem
            async with connecting(served.address, client_identity, client_id="client-0") as later:
                assert await answers(later, 1)
            assert await answers(earlier, 2)


async def test_a_client_shows_its_renewed_certificate_at_its_next_connection(
    authority, server_identity, tmp_path
):
    issued = [authority.issue_client("client-0", datetime.now(UTC), DAY) for _ in range(2)]
    issued[0].save(tmp_path)
    shown = []
    source = renewed_from(tmp_path)

    def noted() -> Identity:
        shown.append(source())
        return shown[-1]

    async with serving(identity=server_identity) as served:
        for identity in issued:
            identity.save(tmp_path)
            async with connecting(served.address, noted) as connection:
                assert await answers(connection, 1)
    assert shown == issued


async def test_a_client_connects_once_its_certificate_is_from_the_new_authority(authority, client_identity):
    now = datetime.now(UTC)
    later = CertificateAuthority.create("job", now, DAY)
    shown = [client_identity, client_identity, later.issue_client("client-0", now, DAY)]
    async with (
        serving(identity=issue(later)) as served,
        connecting(served.address, lambda: shown.pop(0)) as connection,
    ):
        assert await answers(connection, 1)
    assert shown == []


async def test_the_authority_that_the_server_trusts_is_renewed_as_well(authority, client_identity):
    now = datetime.now(UTC)
    later = CertificateAuthority.create("job", now, DAY)
    present = [issue(authority)]
    async with serving(identity=lambda: present[-1]) as served:
        async with connecting(served.address, client_identity) as connection:
            assert await answers(connection, 1)
        present.append(issue(later))
        renewed = later.issue_client("client-0", now, DAY)
        async with connecting(served.address, renewed) as connection:
            assert await answers(connection, 2)
        trusting = Identity(client_identity.certificate_pem, client_identity.private_key_pem, renewed.ca_pem)
        with pytest.raises(Unreachable):
            async with connecting(served.address, trusting, timeout_seconds=1):
                pass
