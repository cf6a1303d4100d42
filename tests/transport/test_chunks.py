"""Tensors are assembled from chunks in a buffer that the receiver allocated."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.messages import Assembly, Frame, decode_frames, tensor_frames
from pslgs.transport.settings import CHUNK_BYTES
from pslgs.transport.v1.training_pb2 import Tensor


def frames_of(data: bytes) -> list[Frame]:
    encoded = tensor_frames(Tensor.CUT_GRADIENT, 7, 2, 30, 4, memoryview(data))
    return [frame for each in encoded for frame in decode_frames(each.data)]


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(0, id="empty"),
        pytest.param(1, id="one byte"),
        pytest.param(CHUNK_BYTES, id="one chunk"),
        pytest.param(CHUNK_BYTES + 1, id="one byte more"),
        pytest.param(3 * CHUNK_BYTES - 5, id="three chunks"),
    ],
)
def test_a_tensor_arrives_as_it_was_sent(size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    out = bytearray(b"\xff" * size)
    assembly = Assembly(memoryview(out))
    frames = frames_of(data)
    outcomes = [assembly.accept(frame.header.tensor.offset, frame.payload) for frame in frames]
    assert out == data
    assert outcomes == [False] * (len(frames) - 1) + [True]


def test_every_chunk_names_its_tensor():
    for frame in frames_of(bytes(2 * CHUNK_BYTES)):
        tensor = frame.header.tensor
        assert (tensor.kind, tensor.step, tensor.attempt, tensor.first, tensor.samples) == (
            Tensor.CUT_GRADIENT,
            7,
            2,
            30,
            4,
        )


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(1, 199), max_size=5))
def test_chunks_of_any_size_are_assembled_in_order(data, cuts):
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    out = bytearray(len(data))
    assembly = Assembly(memoryview(out))
    complete = [
        assembly.accept(start, memoryview(data)[start:end]) for start, end in itertools.pairwise(bounds)
    ]
    assert out == data
    assert complete == [False] * (len(bounds) - 2) + [True]


@given(st.integers(0, 40), st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=50)), max_size=6))
def test_no_sequence_of_chunks_writes_outside_the_tensor_or_fills_it_out_of_order(size, chunks):
    out = bytearray(size)
    assembly, expected, complete = Assembly(memoryview(out)), b"", False
    for offset, payload in chunks:
        fits = offset == len(expected) and len(expected) + len(payload) <= size and (payload or not size)
        try:
            complete = assembly.accept(offset, memoryview(payload))
        except ProtocolViolation:
            assert complete or not fits
            return
        expected += payload
        assert fits
        assert out[: len(expected)] == expected
        assert complete == (len(expected) == size)


@pytest.mark.parametrize(
    ("offset", "payload", "problem"),
    [
        pytest.param(2, b"xx", "starts at byte 2 where byte 4 comes next", id="overlap"),
        pytest.param(6, b"xx", "starts at byte 6 where byte 4 comes next", id="gap"),
        pytest.param(4, b"xxxxxxx", "ends at byte 11 of a tensor of 10 bytes", id="excess"),
        pytest.param(4, b"", "empty chunk", id="nothing"),
    ],
)
def test_a_chunk_out_of_place_is_a_violation_and_is_not_written(offset, payload, problem):
    out = bytearray(10)
    assembly = Assembly(memoryview(out))
    assembly.accept(0, memoryview(b"abcd"))
    with pytest.raises(ProtocolViolation, match=problem):
        assembly.accept(offset, memoryview(payload))
    assert out == b"abcd" + bytes(6)


@pytest.mark.parametrize("size", [pytest.param(0, id="empty"), pytest.param(4, id="four bytes")])
def test_a_chunk_after_the_tensor_is_a_violation(size):
    assembly = Assembly(memoryview(bytearray(size)))
    assert assembly.accept(0, memoryview(bytes(size)))
    with pytest.raises(ProtocolViolation, match="after all"):
        assembly.accept(size, memoryview(b""))
