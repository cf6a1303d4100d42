"""Text of a peer is reduced to one printable line of bounded length."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.spec.errors import InputError
from pslgs.transport.errors import Refused, StreamEnded, TryLater
from pslgs.transport.grpc_server import Session
from pslgs.transport.peer_text import TEXT_LIMIT, one_line
from transport.loopback import connecting, receive_all, serving

METADATA_BYTES = 8 << 10
"""What gRPC promises to take."""


@given(st.text(max_size=3000), st.integers(10, 600))
def test_any_text_becomes_one_printable_line_within_the_limit(text, limit):
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert one_line(line, limit) == line


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "S", "P"]), max_size=TEXT_LIMIT))
def test_a_short_line_stays_as_it_is(text):
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a\nWARNING forged\r\n b", "a WARNING forged b", id="line-breaks"),
        pytest.param("\x1b[31mred\x1b[0m", "[31mred [0m", id="escape-sequences"),
        pytest.param("abc\u202ecod.exe", "abc cod.exe", id="direction-of-writing"),
        pytest.param("a\u2028b\x00c\x85d", "a b c d", id="separators-and-NUL"),
        pytest.param("x" * 600, "x" * 498 + " …", id="too-long"),
        pytest.param(" " * 5000 + "x", " …", id="spaces-before-the-text"),
    ],
)
def test_what_is_not_printable_becomes_a_space(text, line):
    assert one_line(text) == line


async def test_a_status_text_of_any_length_arrives_with_its_status():
    async def fail(session: Session) -> None:
        raise InputError.at("spec.data", "𝄞" * 20_000)

    async with serving(fail) as served, connecting(served.address) as connection:
        with pytest.raises(Refused, match=r"^spec\.data: 𝄞+ …") as raised:
            await connection.receive()
    assert raised.value.status is grpc.StatusCode.FAILED_PRECONDITION
    assert len(raised.value.details) <= TEXT_LIMIT
    assert 12 * TEXT_LIMIT < METADATA_BYTES


async def test_a_client_receives_the_time_after_which_it_may_reconnect():
    async def refuse(session: Session) -> None:
        raise TryLater("This client was lost 4 times; it may come again in 7 s.", 7.25)

    async with serving(refuse) as served, connecting(served.address) as connection:
        with pytest.raises(StreamEnded, match="come again") as raised:
            await connection.receive()
    assert (raised.value.status, raised.value.retry_seconds) == (grpc.StatusCode.UNAVAILABLE, 7.25)
    assert not isinstance(raised.value, Refused)


async def test_a_server_cannot_make_a_client_wait_for_long():
    async def refuse(session: Session) -> None:
        raise TryLater("Later.", 1e6)

    async with serving(refuse) as served, connecting(served.address) as connection:
        with pytest.raises(StreamEnded) as raised:
            await connection.receive()
    assert raised.value.retry_seconds <= 60


async def test_an_end_without_a_retry_time_has_none():
    async with serving(receive_all) as served, connecting(served.address) as connection:
        (await served.session()).end(grpc.StatusCode.ABORTED, "over")
        with pytest.raises(StreamEnded) as raised:
            await connection.receive()
    assert raised.value.retry_seconds == 0
