"""Frames are encoded as protobuf encodes them, and invalid bytes are refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.messages import decode_frames, encode_frame
from pslgs.transport.settings import CHUNK_BYTES, HEADER_LIMIT, MERGED_BYTES, MESSAGE_LIMIT
from pslgs.transport.v1.training_pb2 import Abort, Failure, Frames, Header, Hello, Tensor
from pslgs.transport.v1.training_pb2 import Frame as EncodedFrame

BODIES = st.one_of(
    st.builds(
        Tensor,
        kind=st.sampled_from(Tensor.Kind.values()),
        step=st.integers(0, 2**64 - 1),
        first=st.integers(0, 2**32 - 1),
        offset=st.integers(0, 2**64 - 1),
    ).map(lambda tensor: Header(tensor=tensor)),
    st.builds(
        Hello, client_id=st.text(), job_digest=st.binary(), label_counts=st.lists(st.integers(0, 2**64 - 1))
    ).map(lambda hello: Header(hello=hello)),
    st.builds(Abort, step=st.integers(0, 2**64 - 1)).map(lambda abort: Header(abort=abort)),
)


def varint(length: int) -> bytes:
    return bytes([length]) if length < 128 else bytes([length % 128 | 128]) + varint(length // 128)


def field(number: int, content: bytes, length: int | None = None) -> bytes:
    """Encode a length-delimited field, with another length than its own if one is given."""
    return bytes([number << 3 | 2]) + varint(len(content) if length is None else length) + content


def framed(header: bytes, rest: bytes = b"") -> bytes:
    return field(1, field(1, header) + rest)


@given(BODIES, st.binary(max_size=2000))
def test_a_frame_is_decoded_as_it_was_encoded(header, payload):
    if header.WhichOneof("body") != "tensor":
        payload = b""
    message = encode_frame(header, payload)
    (frame,) = decode_frames(message)
    assert frame.header == header
    assert frame.payload == payload
    assert frame.size == len(message)


PARTS = st.lists(
    st.tuples(BODIES, st.binary(max_size=200)).map(
        lambda part: part if part[0].WhichOneof("body") == "tensor" else (part[0], b"")
    ),
    min_size=1,
    max_size=8,
)


@given(PARTS, st.sets(st.integers(1, 7)))
def test_frames_come_out_one_by_one_however_they_were_merged_into_messages(parts, cuts):
    encoded = [encode_frame(header, payload) for header, payload in parts]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(parts)), len(parts)]
    messages = [b"".join(encoded[start:end]) for start, end in itertools.pairwise(bounds)]
    frames = [frame for message in messages for frame in decode_frames(message)]
    assert [(frame.header, bytes(frame.payload)) for frame in frames] == parts
    assert [frame.size for frame in frames] == list(map(len, encoded))


@given(PARTS)
def test_messages_are_encoded_as_protobuf_encodes_them(parts):
    message = Frames(frame=[EncodedFrame(header=header, payload=payload) for header, payload in parts])
    assert b"".join(encode_frame(header, payload) for header, payload in parts) == message.SerializeToString()


@given(BODIES)
def test_the_fields_of_a_frame_may_come_in_any_order(header):
    payload = b"12" if header.WhichOneof("body") == "tensor" else b""
    (frame,) = decode_frames(field(1, field(2, payload) + field(1, header.SerializeToString())))
    assert (frame.header, frame.payload) == (header, payload)


@given(PARTS, st.binary(min_size=1, max_size=5))
def test_an_incomplete_frame_after_complete_ones_is_a_violation(parts, garbage):
    message = b"".join(encode_frame(header, payload) for header, payload in parts) + garbage
    with pytest.raises(ProtocolViolation):
        decode_frames(message)


@given(PARTS, st.data())
def test_a_message_that_is_cut_off_within_a_frame_is_a_violation(parts, data):
    encoded = [encode_frame(header, payload) for header, payload in parts]
    lost = data.draw(st.integers(1, len(encoded[-1]) - 1))
    with pytest.raises(ProtocolViolation, match="lengths are wrong"):
        decode_frames(b"".join(encoded)[:-lost])


def test_small_frames_do_not_come_in_large_messages():
    frame = encode_frame(Header(abort=Abort(step=1)))
    decode_frames(frame * (MERGED_BYTES // len(frame)))
    with pytest.raises(ProtocolViolation, match="longer than merged frames may be"):
        decode_frames(frame * (MERGED_BYTES // len(frame) + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_violation(message):
    try:
        frames = decode_frames(message)
    except ProtocolViolation:
        return
    assert sum(frame.size for frame in frames) == len(message)
    for frame in frames:
        assert frame.header.WhichOneof("body") is not None
        assert not frame.payload or frame.header.WhichOneof("body") == "tensor"


def test_the_payload_is_not_copied_by_decoding():
    message = encode_frame(Header(tensor=Tensor(step=1)), b"payload")
    assert decode_frames(message)[0].payload.obj is message


def test_a_full_chunk_fits_a_message():
    largest = 2**64 - 1
    tensor = Tensor(kind=Tensor.CLIENT_GRADIENT, step=largest, attempt=2**32 - 1, offset=largest)
    assert len(encode_frame(Header(tensor=tensor), bytes(CHUNK_BYTES))) <= MESSAGE_LIMIT
    assert 16 + HEADER_LIMIT <= MESSAGE_LIMIT - CHUNK_BYTES


TENSOR = Header(tensor=Tensor(step=1)).SerializeToString()
ABORT = Header(abort=Abort(step=1)).SerializeToString()


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        pytest.param(b"", "lengths are wrong", id="empty"),
        pytest.param(b"\x0a", "lengths are wrong", id="a tag alone"),
        pytest.param(b"\x0a\x80\x80", "lengths are wrong", id="a length that does not end"),
        pytest.param(b"\x0a" + b"\x80" * 9 + b"\x01", "lengths are wrong", id="a length of ten bytes"),
        pytest.param(field(1, b"123", 10), "lengths are wrong", id="frame longer than the message"),
        pytest.param(field(1, field(1, b"123", 10)), "lengths are wrong", id="header longer than its frame"),
        pytest.param(framed(bytes(HEADER_LIMIT + 1)), "lengths are wrong", id="header above the limit"),
        pytest.param(field(1, b"", 2**32 - 1), "lengths are wrong", id="length of 4 GiB"),
        pytest.param(
            field(2, field(1, ABORT)), "fields or lengths are wrong", id="another field than frames"
        ),
        pytest.param(framed(ABORT, field(3, b"x")), "fields or lengths are wrong", id="a field of no frame"),
        pytest.param(framed(ABORT, field(1, ABORT)), "fields or lengths are wrong", id="two headers"),
        pytest.param(b"\x08\x01", "fields or lengths are wrong", id="a number instead of frames"),
        pytest.param(framed(b"\xff\xff\xff"), "cannot be parsed", id="header that is no protobuf"),
        pytest.param(framed(TENSOR, field(2, b"x", 2)), "lengths are wrong", id="payload cut off"),
        pytest.param(framed(TENSOR) + b"x", "lengths are wrong", id="bytes behind the frame"),
        pytest.param(
            framed(ABORT) + field(1, b"\xff", 9), "lengths are wrong", id="damaged frame behind a whole one"
        ),
        pytest.param(framed(ABORT) + framed(b""), "no body", id="empty header behind a whole frame"),
        pytest.param(field(1, b""), "no body", id="frame without a header"),
        pytest.param(framed(b"\xf8\x07\x01"), "no body", id="body of another version"),
        pytest.param(framed(ABORT, field(2, b"x")), "1 bytes of payload", id="payload behind an abort"),
    ],
)
def test_an_invalid_frame_is_a_violation(message, problem):
    with pytest.raises(ProtocolViolation, match=problem):
        decode_frames(message)


def test_a_header_above_the_limit_is_not_encoded():
    with pytest.raises(ValueError, match="longer than the"):
        encode_frame(Header(failure=Failure(message="x" * HEADER_LIMIT)))


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        pytest.param(Header(tensor=Tensor(kind=Tensor.SMASHED_DATA)), "smashed_data", id="tensor"),
        pytest.param(Header(abort=Abort()), "control", id="control"),
        pytest.param(Header.FromString(b"\x22\x02\x08\x63"), "unknown", id="kind of another version"),
    ],
)
def test_bytes_are_counted_by_kind(header, kind):
    assert decode_frames(encode_frame(header))[0].kind == kind
