"""Clients and a server exchange frames over gRPC, and each receives the status with which the other ended."""

import asyncio
import logging

import grpc
import pytest

from pslgs.spec.errors import InputError
from pslgs.transport.errors import ClientFailed, ProtocolViolation, Refused, StreamEnded
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import Assembly, control_frame, tensor_frames
from pslgs.transport.settings import CHUNK_BYTES
from pslgs.transport.v1.training_pb2 import Abort, Failure, Finish, Header, Tensor
from transport.loopback import DEADLINE, connecting, echo, receive_all, serving

pytestmark = pytest.mark.timeout(60)


def abort(step: int) -> Header:
    return Header(abort=Abort(step=step))


async def assemble(stream, size: int) -> bytes:
    buffer = bytearray(size)
    assembly, complete = Assembly(memoryview(buffer)), False
    while not complete:
        frame = await stream.receive()
        complete = assembly.accept(frame.header.tensor.offset, frame.payload)
    return bytes(buffer)


@pytest.mark.parametrize(
    "tls", [pytest.param(False, id="without TLS"), pytest.param(True, id="with mutual TLS")]
)
async def test_frames_go_both_ways_in_order(tls, server_identity, client_identity):
    identities = (server_identity, client_identity) if tls else (None, None)
    async with (
        serving(identity=identities[0]) as served,
        connecting(served.address, identities[1]) as connection,
    ):
        for step in range(50):
            await connection.send([control_frame(abort(step))])
            assert (await connection.receive()).header.abort.step == step
        session = await served.session()
        assert session.client_id == "client-0"
        assert "127.0.0.1" in session.peer


async def test_tensors_of_several_chunks_arrive_whole_on_both_sides():
    data = bytes(range(256)) * (5 * CHUNK_BYTES // 512)

    async def give_back(session: Session) -> None:
        received = await assemble(session, len(data))
        await session.send(tensor_frames(Tensor.CUT_GRADIENT, 1, 1, 0, 4, memoryview(received)))
        await receive_all(session)

    async with serving(give_back) as served, connecting(served.address) as connection:
        sending = connection.send(tensor_frames(Tensor.SMASHED_DATA, 1, 1, 0, 4, memoryview(data)))
        _, received = await asyncio.gather(sending, assemble(connection, len(data)))
        assert received == data
        session = await served.session()
        assert session.received["smashed_data"] >= len(data)
        assert connection.received["cut_gradient"] == session.sent["cut_gradient"] >= len(data)


async def test_each_session_has_its_own_number():
    async with serving() as served:
        numbers = []
        for _ in range(3):
            async with connecting(served.address):
                numbers.append((await served.session()).number)
    assert len(set(numbers)) == 3


async def test_queued_messages_are_sent_before_the_server_ends_the_stream():
    async def finish(session: Session) -> None:
        for step in range(20):
            await session.send([control_frame(abort(step))])
        await session.send([control_frame(Header(finish=Finish(exit_code=75)))])

    async with serving(finish) as served, connecting(served.address) as connection:
        headers = [(await connection.receive()).header for _ in range(21)]
        assert headers[-1].finish.exit_code == 75
        with pytest.raises(StreamEnded) as raised:
            await connection.receive()
        assert raised.value.status is grpc.StatusCode.OK


async def test_queued_messages_are_sent_before_the_client_leaves():
    received: list[Header] = []

    async def collect(session: Session) -> None:
        while True:
            received.append((await session.receive()).header)

    async with serving(collect) as served:
        async with connecting(served.address) as connection:
            for step in range(20):
                await connection.send([control_frame(abort(step))])
            await connection.send([control_frame(Header(failure=Failure(exit_code=2)))])
        reason = await served.end_of(await served.session())
    assert received[-1].failure.exit_code == 2
    assert len(received) == 21
    assert reason.status is grpc.StatusCode.CANCELLED


async def test_a_client_that_leaves_does_not_wait_for_unread_messages():
    async def flood(session: Session) -> None:
        while True:
            await session.send([control_frame(abort(1))])

    async with serving(flood) as served:
        async with asyncio.timeout(DEADLINE):
            async with connecting(served.address) as connection:
                await connection.receive()
        await served.end_of(await served.session())


@pytest.mark.parametrize(
    ("error", "status", "details"),
    [
        pytest.param(
            ProtocolViolation("Two tensors at once."),
            grpc.StatusCode.INVALID_ARGUMENT,
            "Two tensors at once.",
            id="violation",
        ),
        pytest.param(
            InputError.at("spec.data", "another job"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "spec.data: another job",
            id="input",
        ),
    ],
)
async def test_an_error_of_the_session_handler_refuses_the_client(error, status, details):
    async def fail(session: Session) -> None:
        raise error

    async with serving(fail) as served, connecting(served.address) as connection:
        with pytest.raises(Refused) as raised:
            await connection.receive()
    assert (raised.value.status, raised.value.details) == (status, details)


async def test_a_client_that_failed_may_connect_again():
    async def fail(session: Session) -> None:
        raise ClientFailed("The data of client-0 are damaged.")

    async with serving(fail) as served, connecting(served.address) as connection:
        with pytest.raises(StreamEnded, match="damaged") as raised:
            await connection.receive()
    assert raised.value.status is grpc.StatusCode.ABORTED
    assert not isinstance(raised.value, Refused)


async def test_a_client_replaced_by_a_newer_connection_is_refused():
    async with serving(receive_all) as served, connecting(served.address) as connection:
        (await served.session()).end(grpc.StatusCode.ALREADY_EXISTS, "A newer connection took its place.")
        with pytest.raises(Refused, match="took its place"):
            await connection.receive()


async def test_an_unexpected_error_is_logged_but_not_sent_to_the_client(caplog):
    async def fail(session: Session) -> None:
        raise KeyError("secret")

    with caplog.at_level(logging.ERROR):
        async with serving(fail) as served, connecting(served.address) as connection:
            with pytest.raises(StreamEnded) as raised:
                await connection.receive()
    assert raised.value.status is grpc.StatusCode.INTERNAL
    assert "secret" not in raised.value.details
    assert "the session of client client-0 failed" in caplog.text
    assert "secret" in caplog.text


async def test_ending_a_session_wakes_both_sides_and_only_the_first_reason_counts():
    async with serving(receive_all) as served, connecting(served.address) as connection:
        session = await served.session()
        session.end(grpc.StatusCode.DEADLINE_EXCEEDED, "No answer for 30 s.")
        session.end(grpc.StatusCode.ABORTED, "second")
        with pytest.raises(StreamEnded) as raised:
            await connection.receive()
        assert raised.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
        assert str(raised.value) == "No answer for 30 s. (DEADLINE_EXCEEDED)"
        assert (await served.end_of(session)).details == "No answer for 30 s."
        with pytest.raises(StreamEnded):
            await session.send([control_frame(abort(1))])
        with pytest.raises(StreamEnded):
            await connection.send([control_frame(abort(1))])


async def test_a_client_that_does_not_read_blocks_only_tasks_that_send_to_it():
    chunk = memoryview(bytes(64 * CHUNK_BYTES))
    blocked: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def attend(session: Session) -> None:
        if session.client_id != "slow":
            await echo(session)
        try:
            await session.send(tensor_frames(Tensor.PARAMETERS, 1, 1, 0, 0, chunk))
        except StreamEnded as reason:
            blocked.set_result(reason)

    async with (
        serving(attend) as served,
        connecting(served.address, client_id="slow") as slow,
        connecting(served.address, client_id="quick") as quick,
    ):
        first = await served.session()
        for step in range(200):
            await quick.send([control_frame(abort(step))])
            assert (await quick.receive()).header.abort.step == step
        assert not blocked.done()
        first.end(grpc.StatusCode.DEADLINE_EXCEEDED, "too slow")
        assert (await blocked).status is grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(StreamEnded, match="too slow"):
            await receive_all(slow)


@pytest.mark.slow
async def test_a_hundred_and_twenty_clients_are_served_at_once():
    async with serving() as served:
        together = asyncio.Barrier(120)

        async def attend(number: int) -> int:
            async with connecting(served.address, client_id=f"client-{number}") as connection:
                await together.wait()
                for step in range(5):
                    await connection.send([control_frame(abort(1000 * number + step))])
                    assert (await connection.receive()).header.abort.step == 1000 * number + step
                return number

        assert await asyncio.gather(*map(attend, range(120))) == list(range(120))


async def test_one_message_is_sent_to_many_sessions():
    async with serving(receive_all) as served:
        frames = [control_frame(abort(5))]
        async with (
            connecting(served.address, client_id="a") as a,
            connecting(served.address, client_id="b") as b,
        ):
            for session in (await served.session(), await served.session()):
                await session.send(frames)
            assert (await a.receive()).header == (await b.receive()).header == abort(5)


async def test_a_server_that_stops_ends_its_sessions_with_unavailable():
    async with serving(receive_all) as served, connecting(served.address) as connection:
        stopping = asyncio.create_task(served.server.stop(0))
        with pytest.raises(StreamEnded) as raised:
            await connection.receive()
        assert raised.value.status is grpc.StatusCode.UNAVAILABLE
        assert raised.value.details == "The server is stopping."
        assert not isinstance(raised.value, Refused)
        await stopping


async def test_a_server_that_stops_lets_sessions_finish_within_its_grace():
    begun = asyncio.Event()

    async def finish_when_told(session: Session) -> None:
        begun.set()
        await session.receive()
        await session.send([control_frame(Header(finish=Finish()))])

    async with serving(finish_when_told) as served, connecting(served.address) as connection:
        await begun.wait()
        stopping = asyncio.create_task(served.server.stop(DEADLINE))
        await connection.send([control_frame(abort(1))])
        assert (await connection.receive()).header.WhichOneof("body") == "finish"
        await stopping
