"""What peers send: frames, the first message of a client, its answers, a server's orders, encoded tensors."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fuzzing.engine import Target
from fuzzing.mutators import mutate_bytes, mutate_protobuf

VALUES = b"".join(i.to_bytes(4, "little") for i in range(0, 2**32, 2**25))


def frames(_folder: Path) -> Target:
    """Messages of frames."""
    from pslgs.transport.errors import ProtocolViolation
    from pslgs.transport.messages import decode_frames, encode_frame
    from pslgs.transport.v1 import training_pb2 as wire

    headers = (
        wire.Header(abort=wire.Abort(step=1, attempt=2)),
        wire.Header(forward=wire.Forward(step=1, attempt=1, epoch=1, offset=8, samples=3)),
        wire.Header(evaluate=wire.Evaluate(step=2**40, first=300, samples=64)),
        wire.Header(finish=wire.Finish(exit_code=75, reason="the server stops")),
        wire.Header(failure=wire.Failure(exit_code=2, message="a file is damaged")),
        wire.Header(standardization=wire.Standardization(mean=[0.5, 1e30], deviation=[1, 2])),
    )
    small = [encode_frame(each) for each in headers]
    tensor = wire.Header(tensor=wire.Tensor(kind=wire.Tensor.SMASHED_DATA, step=1, attempt=1, samples=3))
    seeds = [*small, encode_frame(tensor, VALUES), encode_frame(tensor, bytes(700)), b"".join(small)]

    def decode(message: bytes) -> None:
        decoded = decode_frames(message)
        assert sum(each.size for each in decoded) == len(message)
        for each in decoded:
            assert each.kind
            assert not each.payload or each.header.HasField("tensor")

    return Target(
        decode=decode, errors=(ProtocolViolation,), seeds=seeds, mutate=mutate_protobuf, inputs=20_000
    )


def hello(_folder: Path) -> Target:
    """The first message of a client, and the checks of what it states."""
    from pslgs.coordination.membership import Membership
    from pslgs.model_inputs import NamedShapes
    from pslgs.server import hello_checks
    from pslgs.server.feature_statistics import FeatureStatistics
    from pslgs.server.label_statistics import LabelStatistics
    from pslgs.spec.errors import InputError
    from pslgs.spec.named_inputs import NamedInput
    from pslgs.transport.errors import IdentityMismatch, ProtocolViolation, VersionMismatch
    from pslgs.transport.handshake import check_hello
    from pslgs.transport.messages import encode_frame
    from pslgs.transport.peer_text import one_line
    from pslgs.transport.settings import PROTOCOL_VERSION
    from pslgs.transport.shapes import stated_shape
    from pslgs.transport.v1 import training_pb2 as wire

    stated = {
        "protocol": PROTOCOL_VERSION,
        "client_id": "edge-0-0",
        "job_digest": bytes(range(32)),
        "samples": 10,
        "evaluation_samples": 4,
        "label_counts": [3, 3, 4],
        "class_names": ["cat", "dog", "owl"],
    }
    moments = wire.FeatureMoments(count=10, mean=[0.5, 2.0], deviations=[3.0, 0.0])
    one = wire.Hello(**stated, input_shape=[2], feature_moments=moments, left_out={"damaged": 2, "hidden": 1})
    two = wire.Hello(**stated, input_shapes=[wire.Shape(size=[1, 28]), wire.Shape(size=[])])
    failed = wire.Hello(
        protocol=PROTOCOL_VERSION, client_id="a", job_digest=b"x", failure="no data\n\x1b[31m"
    )
    inputs = [NamedInput(name="image", columns=["a"]), NamedInput(name="age", columns=["b"])]
    labels, features = LabelStatistics(3, Membership()), FeatureStatistics(2)

    def decode(message: bytes) -> None:
        stated = check_hello(message, ["edge-0-0"] if b"edge-0-0" in message else None)
        assert len(one_line(stated.failure)) <= 500
        shape = stated_shape(stated, inputs if stated.input_shapes else ())
        hash(shape)
        assert len(hello_checks.format_shape(shape)) <= 1000
        if stated.failure:
            return
        hello_checks.check_sample_size(shape)
        expected = shape if isinstance(shape, NamedShapes) else (2,)
        hello_checks.check_shape(shape, expected)
        hello_checks.check_claims(stated, labels, 1_000_000)
        if not stated.input_shapes:
            features.check(stated)
        hello_checks.known_reasons(stated.left_out)

    return Target(
        decode=decode,
        errors=(ProtocolViolation, VersionMismatch, IdentityMismatch, InputError),
        seeds=[encode_frame(wire.Header(hello=each)) for each in (one, two, failed)],
        mutate=mutate_protobuf,
        inputs=10_000,
    )


def answers(_folder: Path) -> Target:
    """A client's answers to one order, in the server's buffers."""
    from pslgs.server.receive_buffers import ClientBuffers
    from pslgs.transport.errors import ProtocolViolation
    from pslgs.transport.messages import decode_frames
    from pslgs.transport.v1 import training_pb2 as wire

    slices = ((0, 3), (3, 2))
    labels = partial(_tensor_message, wire.Tensor.LABELS, 0, 0, bytes(40))
    smashed = [
        partial(_tensor_message, wire.Tensor.SMASHED_DATA, first, samples, bytes(16 * samples))
        for first, samples in slices
    ]
    gradient = partial(_tensor_message, wire.Tensor.CLIENT_GRADIENT, 0, 0, bytes(24))
    seeds = [b"".join(each() for each in (labels, *smashed, gradient)), labels() + smashed[0]()]

    def decode(message: bytes) -> None:
        memory = memoryview(bytearray(80 + 40 + 24))
        buffers = ClientBuffers(memory[:40], lambda: None, memory[40:120], slices)
        complete = False
        for frame in decode_frames(message):
            is_tensor = frame.header.HasField("tensor")
            if is_tensor and buffers.receive(frame.header.tensor, frame.payload) and not complete:
                complete = True
                buffers.expect_gradient(memory[120:])

    return Target(
        decode=decode, errors=(ProtocolViolation,), seeds=seeds, mutate=mutate_protobuf, inputs=10_000
    )


def _tensor_message(kind: int, first: int, samples: int, data: bytes, step: int = 1) -> bytes:
    from pslgs.transport.messages import tensor_frames

    return b"".join(each.data for each in tensor_frames(kind, step, 1, first, samples, memoryview(data)))


def orders(_folder: Path) -> Target:
    """A server's orders, executed by a client."""
    from client import fakes
    from pslgs.spec.errors import InputError
    from pslgs.transport.errors import ProtocolViolation, StreamEnded
    from pslgs.transport.messages import decode_frames, encode_frame

    async def seeds() -> list[bytes]:
        async with fakes.fake_client() as made:
            exchange = [fakes.forward(3, following=2), *made.parameters(), *made.cut_gradient(3)]
            evaluation = [fakes.evaluate(0, 4), *made.parameters(attempt=0)]
            whole = [*exchange, *evaluation, fakes.abort(), fakes.finish()]
            return [
                b"".join(encode_frame(each.header, each.payload) for each in part)
                for part in (exchange, evaluation, whole)
            ]

    async def execute(message: bytes) -> None:
        sent = decode_frames(message)
        async with fakes.fake_client() as made:
            made.feed(*sent)
            made.connection.leave()
            await made.execution

    def decode(message: bytes) -> None:
        try:
            asyncio.run(execute(message))
        except StreamEnded:
            return

    return Target(
        decode=decode,
        errors=(ProtocolViolation, InputError),
        seeds=asyncio.run(seeds()),
        mutate=mutate_protobuf,
        inputs=150,
    )


def tensors(_folder: Path) -> Target:
    """Encoded tensors: the first byte chooses a codec, the others are received into its buffer."""
    import torch

    from pslgs.transport.codec import TensorCodec, codec_for
    from pslgs.transport.errors import ProtocolViolation

    shape = 4, 5
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    codecs: list[tuple[torch.dtype, TensorCodec]] = [
        (dtype, codec_for(name, 5, dtype))
        for name in ("None", "Float16", "BFloat16", "Int8")
        for dtype in kinds
    ]

    def decode(data: bytes) -> None:
        dtype, codec = codecs[data[0] % len(codecs) if data else 0]
        out = torch.zeros(shape, dtype=dtype)
        codec.decode(memoryview(data[1:]), out)
        assert out.shape == shape

    numbers = torch.linspace(-9, 9, 20).reshape(shape)
    seeds = [bytes([i]) + bytes(codec.encode(numbers.to(dtype))) for i, (dtype, codec) in enumerate(codecs)]
    return Target(decode=decode, errors=(ProtocolViolation,), seeds=seeds, mutate=mutate_bytes, inputs=3000)


WIRE: tuple[Callable[[Path], Target], ...] = (frames, hello, answers, orders, tensors)
