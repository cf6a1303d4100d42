"""Only clients with a certificate of the job's authority are admitted; others receive the reason."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import Identity
from pslgs.telemetry.series import REFUSAL_REASONS
from pslgs.transport import grpc_server
from pslgs.transport.errors import (
    IdentityMismatch,
    MissingIdentity,
    ProtocolViolation,
    Refused,
    Unreachable,
    VersionMismatch,
    refusal_reason,
)
from pslgs.transport.handshake import check_hello
from pslgs.transport.messages import control_frame, encode_frame
from pslgs.transport.settings import MESSAGE_LIMIT, PROTOCOL_VERSION
from pslgs.transport.v1.training_pb2 import Abort, Header, Hello
from transport.loopback import DEADLINE, connecting, serving

pytestmark = pytest.mark.timeout(60)
DAY = timedelta(days=1)


def hello(client_id: str = "client-0", protocol: int = PROTOCOL_VERSION) -> bytes:
    return encode_frame(Header(hello=Hello(client_id=client_id, protocol=protocol)))


@pytest.mark.parametrize(
    ("message", "certified", "error", "problem"),
    [
        pytest.param(b"GET /", None, ProtocolViolation, "not made of frames", id="garbage"),
        pytest.param(
            encode_frame(Header(abort=Abort())),
            None,
            ProtocolViolation,
            "must begin with a hello alone and not with abort",
            id="abort",
        ),
        pytest.param(
            hello() + hello(), None, ProtocolViolation, "a hello alone", id="hello with more behind it"
        ),
        pytest.param(hello(protocol=0), None, VersionMismatch, "speaks version 0", id="another version"),
        pytest.param(hello(""), None, ProtocolViolation, "client id '' must", id="no name"),
        pytest.param(hello("../x"), None, ProtocolViolation, "client id '../x' must", id="no DNS name"),
        pytest.param(hello(), (), MissingIdentity, "has no DNS name", id="certificate without a name"),
        pytest.param(
            hello(), ("client-1",), IdentityMismatch, "for client-1 and not for client-0", id="impostor"
        ),
        pytest.param(
            hello(),
            ("client-0", "client-1"),
            IdentityMismatch,
            "not for client-0",
            id="certificate of two clients",
        ),
        pytest.param(
            hello("lient-0"), ("client-0",), IdentityMismatch, "not for lient-0", id="part of a name"
        ),
    ],
)
def test_an_invalid_hello_is_refused(message, certified, error, problem):
    with pytest.raises(error, match=problem):
        check_hello(message, certified)


@pytest.mark.parametrize(
    "certified", [pytest.param(None, id="without TLS"), pytest.param(("client-0",), id="certified")]
)
def test_a_client_is_admitted_without_tls_or_by_its_certificate(certified):
    assert check_hello(hello(), certified).client_id == "client-0"


async def test_an_impostor_is_refused_and_counted(server_identity, client_identity):
    async with serving(identity=server_identity) as served:
        with pytest.raises(Refused, match=r"for client-0 and not for client-1.*PERMISSION_DENIED"):
            async with connecting(served.address, client_identity, client_id="client-1"):
                pass
        assert served.refused == {"Impostor": 1}
        assert served.sessions.empty()


def stranger() -> Identity:
    now = datetime.now(UTC)
    return CertificateAuthority.create("job", now, DAY).issue_client("client-0", now, DAY)


async def test_a_client_of_another_authority_does_not_trust_the_server(server_identity):
    async with serving(identity=server_identity) as served:
        with pytest.raises(Unreachable, match=r"(?i)certificate.*verify"):
            async with connecting(served.address, stranger(), timeout_seconds=1):
                pass
        assert served.sessions.empty()


async def test_the_server_does_not_trust_a_client_of_another_authority(server_identity):
    forged = stranger()
    trusting = Identity(forged.certificate_pem, forged.private_key_pem, server_identity.ca_pem)
    async with serving(identity=server_identity) as served:
        with pytest.raises(Unreachable):
            async with connecting(served.address, trusting, timeout_seconds=1):
                pass
        assert served.sessions.empty()


async def test_a_client_without_a_certificate_is_not_admitted(server_identity):
    async with serving(identity=server_identity) as served:
        with pytest.raises(Unreachable):
            async with connecting(served.address, None, timeout_seconds=1):
                pass
        assert served.sessions.empty()


async def test_the_certificate_of_a_server_does_not_admit_a_client(authority, server_identity):
    named = authority.issue_server(["client-0"], datetime.now(UTC), DAY)
    async with serving(identity=server_identity) as served:
        with pytest.raises(Unreachable):
            async with connecting(served.address, named, timeout_seconds=1):
                pass
        assert served.sessions.empty()


async def test_a_server_whose_certificate_has_another_name_is_not_trusted(authority, client_identity):
    elsewhere = authority.issue_server(["elsewhere"], datetime.now(UTC), DAY)
    async with serving(identity=elsewhere) as served:
        with pytest.raises(Unreachable):
            async with connecting(served.address, client_identity, timeout_seconds=1):
                pass
        assert served.sessions.empty()


async def test_a_server_with_the_certificate_of_a_client_is_not_trusted(authority, client_identity):
    other = authority.issue_client("localhost", datetime.now(UTC), DAY)
    async with serving(identity=other) as served:
        with pytest.raises(Unreachable):
            async with connecting(f"localhost:{served.port}", client_identity, timeout_seconds=1):
                pass


async def raw_outcome(address: str, *messages: bytes) -> grpc.aio.AioRpcError:
    """Send messages that no client of ours would send, and return what the server makes of them."""
    options = [("grpc.max_send_message_length", -1)]
    async with asyncio.timeout(DEADLINE), grpc.aio.insecure_channel(address, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await send_and_read(channel.stream_stream("/pslgs.v1.Training/Session")(), messages)
        return raised.value


async def send_and_read(call, messages: tuple[bytes, ...]) -> None:
    for message in messages:
        await call.write(message)
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize(
    ("messages", "status", "details"),
    [
        pytest.param(
            [b"\xff" * 100], grpc.StatusCode.INVALID_ARGUMENT, "not made of frames", id="garbage first"
        ),
        pytest.param(
            [hello(), b"\xff" * 100],
            grpc.StatusCode.INVALID_ARGUMENT,
            "not made of frames",
            id="garbage later",
        ),
        pytest.param([hello(protocol=99)], grpc.StatusCode.FAILED_PRECONDITION, "version 99", id="version"),
        pytest.param(
            [hello(), bytes(MESSAGE_LIMIT + 1)],
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "larger than max",
            id="oversized",
        ),
    ],
)
async def test_an_invalid_message_ends_only_its_own_stream_with_a_clear_status(messages, status, details):
    async with serving() as served, connecting(served.address, client_id="good") as good:
        error = await raw_outcome(served.address, *messages)
        assert error.code() is status
        assert details in error.details()
        await good.send([control_frame(Header(abort=Abort(step=3)))])
        assert (await good.receive()).header.abort.step == 3


async def test_a_client_that_sends_no_hello_is_refused_after_the_time_out(monkeypatch):
    monkeypatch.setattr(grpc_server, "HELLO_TIMEOUT_SECONDS", 0.1)
    async with serving() as served:
        error = await raw_outcome(served.address)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "No hello" in error.details()
        assert served.refused == {"TimeoutError": 1}


async def test_another_service_is_refused_at_once():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with pytest.raises(Refused, match="UNIMPLEMENTED"):
        async with connecting(f"127.0.0.1:{port}"):
            pass
    await server.stop(None)


def test_every_refusal_that_ends_a_handshake_is_counted_under_a_known_reason():
    refusals = [MissingIdentity("m"), IdentityMismatch("m"), VersionMismatch("m"), ProtocolViolation("m")]
    assert {refusal_reason(error) for error in refusals} <= {*REFUSAL_REASONS}
    assert refusal_reason(refusals[0]) == "Unidentified"
    assert refusal_reason(refusals[1]) == "Impostor"
