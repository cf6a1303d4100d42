"""The errors of the codecs are bounded, and values out of range are clamped or become NaN."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pslgs.spec.errors import InputError
from pslgs.transport.codec import TensorCodec, codec_for, tensor_bytes
from pslgs.transport.errors import ProtocolViolation

COMPRESSIONS = [pytest.param(name, id=name) for name in ("None", "Float16", "BFloat16", "Int8")]
FLOATS = [
    pytest.param(dtype, id=str(dtype))
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
]
SHAPES = array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)
ANY_FLOAT32 = arrays(np.float32, SHAPES, elements=st.floats(width=32))
FINITE_FLOAT32 = arrays(
    np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


def codec_of(compression: str, tensor: torch.Tensor) -> TensorCodec:
    return codec_for(compression, tensor[:1].numel(), tensor.dtype)


def transmit(codec: TensorCodec, tensor: torch.Tensor) -> torch.Tensor:
    encoded = codec.encode(tensor)
    assert len(encoded) == codec.encoded_bytes(len(tensor))
    out = torch.full(tensor.shape, 123).to(tensor.dtype)
    buffer = codec.destination(out)
    buffer[:] = encoded
    codec.decode(buffer, out)
    return out


def equal_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    return bytes(tensor_bytes(left.contiguous())) == bytes(tensor_bytes(right.contiguous()))


@given(ANY_FLOAT32)
def test_without_compression_every_bit_arrives(values):
    tensor = torch.from_numpy(values)
    assert equal_bits(transmit(codec_of("None", tensor), tensor), tensor)


@pytest.mark.parametrize(
    "dtype",
    [*FLOATS, *(pytest.param(dtype, id=str(dtype)) for dtype in (torch.int64, torch.uint8, torch.bool))],
)
def test_without_compression_every_type_arrives(dtype):
    tensor = torch.arange(24).reshape(4, 2, 3).to(dtype)
    assert equal_bits(transmit(codec_of("None", tensor), tensor), tensor)


@given(ANY_FLOAT32)
def test_float16_is_the_nearest_number_it_has_and_saturates(values):
    tensor = torch.from_numpy(values)
    expected = tensor.clamp(-65504, 65504).half().float()
    assert equal_bits(transmit(codec_of("Float16", tensor), tensor), expected)


@given(ANY_FLOAT32)
def test_bfloat16_keeps_the_range_and_eight_bits(values):
    tensor = torch.from_numpy(values)
    out = transmit(codec_of("BFloat16", tensor), tensor)
    finite = tensor.isfinite()
    assert equal_bits(out.isnan(), tensor.isnan())
    assert out[finite].isfinite().all()
    assert ((out - tensor).abs()[finite] <= tensor.abs()[finite].clamp_min(1e-37) * 2**-8).all()


@given(FINITE_FLOAT32)
def test_int8_errs_by_half_a_scale_at_most(values):
    tensor = torch.from_numpy(values)
    out = transmit(codec_of("Int8", tensor), tensor).flatten(1).double()
    rows = tensor.flatten(1).double()
    largest = rows.abs().amax(dim=1, keepdim=True)
    # 1e-42: scales below float32's normal numbers have few bits left.
    assert ((out - rows).abs() <= largest / 254 * 1.001 + 1e-42).all()


@given(ANY_FLOAT32)
def test_int8_decodes_non_finite_values_as_nan_without_changing_their_row(values):
    tensor = torch.from_numpy(values)
    codec = codec_of("Int8", tensor)
    out = transmit(codec, tensor)
    assert equal_bits(out.isnan(), ~tensor.isfinite())
    finite_only = torch.where(tensor.isfinite(), tensor, 0.0)
    clean = transmit(codec, finite_only)
    assert torch.equal(out[tensor.isfinite()], clean[tensor.isfinite()])


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_compression_supports_every_floating_type(compression, dtype):
    tensor = torch.linspace(-3, 3, 48, dtype=torch.float64).reshape(4, 3, 4).to(dtype)
    out = transmit(codec_of(compression, tensor), tensor)
    assert out.dtype == dtype
    torch.testing.assert_close(out, tensor, atol=3 / 254 + 0.02, rtol=0)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_largest_numbers_stay_finite(compression, dtype):
    limit = min(torch.finfo(dtype).max, torch.finfo(torch.float32).max)
    tensor = torch.tensor([[limit, -limit, 0.0]], dtype=torch.float64).to(dtype)
    assert transmit(codec_of(compression, tensor), tensor).isfinite().all()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_zeros_and_empty_tensors_arrive(compression):
    zeros = torch.zeros(3, 5)
    assert torch.equal(transmit(codec_of(compression, zeros), zeros), zeros)
    none = torch.zeros(0, 5)
    assert transmit(codec_for(compression, 5, torch.float32), none).shape == (0, 5)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_rows_are_encoded_one_by_one_so_that_slices_can_be_sent(compression):
    tensor = torch.linspace(-9, 9, 30).reshape(5, 2, 3)
    codec = codec_of(compression, tensor)
    whole = bytes(codec.encode(tensor))
    assert whole == bytes(codec.encode(tensor[:2])) + bytes(codec.encode(tensor[2:]))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_strided_tensor_that_needs_gradients_is_encoded_like_its_copy(compression):
    tensor = torch.linspace(-9, 9, 30, requires_grad=True).reshape(6, 5).t()
    codec = codec_of(compression, tensor)
    assert bytes(codec.encode(tensor)) == bytes(codec.encode(tensor.detach().clone().contiguous()))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_buffer_of_another_length_is_a_violation(compression):
    out = torch.zeros(2, 5)
    with pytest.raises(ProtocolViolation, match="bytes where"):
        codec_of(compression, out).decode(memoryview(bytearray(7)), out)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_read_only_memory_can_be_decoded(compression):
    tensor = torch.linspace(-9, 9, 30).reshape(5, 6)
    codec, out = codec_of(compression, tensor), torch.zeros(5, 6)
    codec.decode(memoryview(bytes(codec.encode(tensor))), out)
    assert torch.equal(out, transmit(codec, tensor))


def test_without_compression_nothing_is_copied_on_either_side():
    tensor = torch.zeros(2, 3)
    codec = codec_of("None", tensor)
    encoded = codec.encode(tensor)
    destination = codec.destination(tensor)
    tensor.fill_(1)
    assert np.frombuffer(encoded, np.float32).tolist() == [1] * 6
    assert np.frombuffer(destination, np.float32).tolist() == [1] * 6


def test_int8_takes_a_quarter_of_float32_and_four_bytes_a_sample():
    assert codec_for("Int8", 1000, torch.float32).encoded_bytes(3) == 3 * 1004


@pytest.mark.parametrize(
    ("compression", "dtype", "problem"),
    [
        pytest.param("Zip", torch.float32, "'Zip' is unknown", id="unknown"),
        pytest.param("Float16", torch.int64, "choose None", id="of integers"),
    ],
)
def test_a_compression_that_cannot_be_used_is_an_input_error(compression, dtype, problem):
    with pytest.raises(InputError, match=f"spec.transport.compression: .*{problem}"):
        codec_for(compression, 5, dtype)
