"""Tensors in chunks: cut by the sender, put together in memory that the receiver sized by itself."""

from collections.abc import Iterator

from pslgs.wire.errors import ProtocolViolation
from pslgs.wire.frames import encode
from pslgs.wire.limits import CHUNK_BYTES
from pslgs.wire.v1.training_pb2 import Header, Tensor


def tensor_frames(  # noqa: PLR0913, PLR0917 - the fields of the message, which have no life of their own
    kind: Tensor.Kind, step: int, attempt: int, first: int, samples: int, data: memoryview
) -> Iterator[bytes]:
    """Yield the encoded frames of a tensor, each a chunk of ``data``; an empty tensor is one empty chunk.

    Args:
        kind: What the tensor is.
        step: Of the Forward or Evaluate that it belongs to.
        attempt: Likewise.
        first: The slice's first sample in the local batch; 0 for a vector.
        samples: Samples in the slice; 0 for a vector.
        data: The encoded slice or vector, contiguous bytes.
    """
    tensor = Tensor(kind=kind, step=step, attempt=attempt, first=first, samples=samples)
    for offset in range(0, max(len(data), 1), CHUNK_BYTES):
        tensor.offset = offset
        yield encode(Header(tensor=tensor), data[offset : offset + CHUNK_BYTES])


class Assembly:
    """Puts the chunks of one tensor together in ``destination``, which is exactly as long as the tensor."""

    def __init__(self, destination: memoryview) -> None:
        self._destination = destination
        self._filled = 0
        self._complete = False

    def accept(self, offset: int, payload: memoryview) -> bool:
        """Copy the next chunk to its place and tell whether the tensor is complete.

        Raises:
            ProtocolViolation: the chunk does not start where the last one ended, reaches beyond the tensor,
                brings nothing, or the tensor was complete.
        """
        self._check(offset, payload)
        end = offset + len(payload)
        self._destination[offset:end] = payload
        self._filled = end
        self._complete = end == len(self._destination)
        return self._complete

    def _check(self, offset: int, payload: memoryview) -> None:
        size = len(self._destination)
        if self._complete:
            raise ProtocolViolation(f"A chunk came after all {size} bytes of its tensor.")
        if offset != self._filled:
            raise ProtocolViolation(f"A chunk starts at byte {offset} where byte {self._filled} comes next.")
        if offset + len(payload) > size:
            raise ProtocolViolation(
                f"A chunk ends at byte {offset + len(payload)} of a tensor of {size} bytes."
            )
        if not payload and size:
            raise ProtocolViolation(f"An empty chunk came for a tensor of {size} bytes.")
