"""Whom the TLS of a server lets in, as the bytes of the connection show; nobody else reaches its service."""

import asyncio
import logging
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hostile.http2 import PREFACE, SETTINGS, frame
from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE, Identity
from pslgs.transport.errors import ProtocolViolation, Refused, Unreachable
from pslgs.transport.grpc_server import Session
from transport.conftest import DAY
from transport.loopback import DEADLINE, Served, connecting, serving

OPENING = PREFACE + frame(SETTINGS, 0, 0)


def context_of(folder: Path, identity: Identity, *, certificate: bool = True) -> ssl.SSLContext:
    """Return the context of a client that trusts the authority of an identity."""
    identity.save(folder)
    context = ssl.create_default_context(cafile=str(folder / AUTHORITY_FILE))
    if certificate:
        context.load_cert_chain(folder / CERTIFICATE_FILE, folder / PRIVATE_KEY_FILE)
    context.set_alpn_protocols(["h2"])
    return context


async def first_bytes(served: Served, context: ssl.SSLContext | None, sent: bytes = OPENING) -> bytes:
    """Connect, send bytes, and return the first nine bytes of the answer, or none if there is no answer.

    Raises:
        ssl.SSLError: the handshake failed.
    """
    host = None if context is None else "localhost"
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.port, ssl=context, server_hostname=host
        )
        try:
            writer.write(sent)
            return await reader.readexactly(9)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        finally:
            writer.transport.abort()


def issued(authority: CertificateAuthority, begin: timedelta, lifetime: timedelta) -> Identity:
    return authority.issue_client("client-0", datetime.now(UTC) + begin, lifetime)


async def test_a_valid_certificate_is_let_in(tmp_path, server_identity, client_identity):
    async with serving(identity=server_identity) as served:
        answer = await first_bytes(served, context_of(tmp_path, client_identity))
        assert answer[3] == SETTINGS


@pytest.mark.parametrize(
    ("begin", "lifetime"),
    [
        pytest.param(timedelta(hours=-2), timedelta(hours=1), id="expired"),
        pytest.param(timedelta(days=2), timedelta(hours=1), id="not yet valid"),
    ],
)
async def test_a_certificate_is_refused_outside_of_its_time(tmp_path, begin, lifetime):
    now = datetime.now(UTC)
    authority = CertificateAuthority.create("job", now - DAY, 4 * DAY)
    server = authority.issue_server(["localhost"], now, DAY)
    async with serving(identity=server) as served:
        assert await refused(served, context_of(tmp_path / "now", issued(authority, timedelta(), DAY))) == ""
        problem = await refused(served, context_of(tmp_path, issued(authority, begin, lifetime)))
        assert problem
        assert served.sessions.empty()
        assert not served.refused  # gRPC reports no failed handshake


async def refused(served: Served, context: ssl.SSLContext | None) -> str:
    """Return how a connection was refused; empty if it was let in."""
    try:
        return "" if await first_bytes(served, context) else "closed"
    except ssl.SSLError as error:
        return str(error.reason)
    except ConnectionError:
        return "reset"


async def test_a_client_with_no_certificate_is_refused(tmp_path, server_identity, client_identity):
    async with serving(identity=server_identity) as served:
        problem = await refused(served, context_of(tmp_path, client_identity, certificate=False))
        assert problem
        assert served.sessions.empty()
        assert not served.refused


@pytest.mark.parametrize(
    ("version", "admitted"),
    [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True)],
    ids=str,
)
async def test_old_versions_of_tls_are_refused(tmp_path, version, admitted, server_identity, client_identity):
    context = context_of(tmp_path, client_identity)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    async with serving(identity=server_identity) as served:
        assert (await refused(served, context) == "") is admitted
        assert served.sessions.empty()


async def test_plaintext_at_the_port_of_tls_gets_no_answer(server_identity):
    async with serving(identity=server_identity) as served:
        assert not await first_bytes(served, None)
        assert served.sessions.empty()


async def test_tls_at_a_port_without_tls_gets_no_answer(tmp_path, client_identity):
    async with serving() as served:
        assert await refused(served, context_of(tmp_path, client_identity))
        with pytest.raises(Unreachable):
            async with connecting(served.address, client_identity, timeout_seconds=1):
                pass
        assert served.sessions.empty()


@pytest.mark.parametrize(
    ("begin", "lifetime"),
    [
        pytest.param(timedelta(hours=-2), timedelta(hours=1), id="expired"),
        pytest.param(timedelta(days=2), timedelta(hours=1), id="not yet valid"),
    ],
)
async def test_a_client_does_not_trust_a_server_outside_of_the_time_of_its_certificate(begin, lifetime):
    now = datetime.now(UTC)
    authority = CertificateAuthority.create("job", now - DAY, 4 * DAY)
    server = authority.issue_server(["127.0.0.1"], now + begin, lifetime)
    async with serving(identity=server) as served:
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            async with connecting(served.address, issued(authority, timedelta(), DAY), timeout_seconds=1):
                pass
        assert served.sessions.empty()


async def test_a_client_whose_clock_or_certificate_is_wrong_says_so(caplog):
    now = datetime.now(UTC)
    authority = CertificateAuthority.create("job", now - DAY, 4 * DAY)
    caplog.set_level(logging.INFO)
    async with serving(identity=authority.issue_server(["127.0.0.1"], now, DAY)) as served:
        expired = issued(authority, timedelta(hours=-2), timedelta(hours=1))
        with pytest.raises(Unreachable, match=r"but its clock says .*: set the clock, or renew"):
            async with connecting(served.address, expired, timeout_seconds=1):
                pass
    assert f"not yet connected to {served.address}: " in caplog.text
    assert "The certificate of this process is valid from" in caplog.text


async def test_an_impostor_is_named_as_in_its_certificate(server_identity, client_identity):
    names: list[tuple[str, str]] = []
    async with serving(
        identity=server_identity, on_refused=lambda who, reason, _: names.append((who, reason))
    ) as served:
        for _ in range(3):
            with pytest.raises(Refused, match="for client-0 and not for client-1"):
                async with connecting(served.address, client_identity, client_id="client-1"):
                    pass
    assert names == [("client-0", "Impostor")] * 3


async def test_refusals_are_held_back_for_as_long_as_the_server_says(server_identity, client_identity):
    async def fail(_: Session) -> None:
        raise ProtocolViolation("Two tensors at once.")

    held_back: list[str] = []

    def delay(client: str) -> float:
        held_back.append(client)
        return 2 * DEADLINE

    async with serving(fail, identity=server_identity, refusal_delay=delay) as served:
        with pytest.raises(Unreachable, match="there was no answer"):
            async with connecting(served.address, client_identity, client_id="client-1", timeout_seconds=0.5):
                pass
        async with connecting(served.address, client_identity) as connection:
            await served.session()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await connection.receive()
    assert held_back == ["client-0", "client-0"]
