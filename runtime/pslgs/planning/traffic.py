"""The bytes of a step: payloads as the protocol has them, without frame headers, TLS and evaluations."""

from dataclasses import dataclass

from pslgs.planning.anatomy import Anatomy
from pslgs.spec.transport import Compression
from pslgs.training.objective import Objective
from pslgs.wire.codec import codec_for


@dataclass(frozen=True, slots=True)
class Traffic:
    """Payload bytes between the server and some clients in one step.

    Attributes:
        parameters: The client part, down to each active client.
        smashed: Up, compressed.
        labels: Up.
        cut_gradient: Down, compressed.
        gradients: Of the client part, up from each active client.
    """

    parameters: int
    smashed: int
    labels: int
    cut_gradient: int
    gradients: int

    @property
    def up(self) -> int:
        """From the clients to the server."""
        return self.smashed + self.labels + self.gradients

    @property
    def down(self) -> int:
        """From the server to the clients."""
        return self.parameters + self.cut_gradient


def step_traffic(
    anatomy: Anatomy, objective: Objective, compression: Compression, samples: float, clients: float
) -> Traffic:
    """Count the bytes of a step in which ``clients`` contribute ``samples`` together (means, so fractions).

    Raises:
        InputError: the compression cannot carry these smashed data.
    """
    layout = anatomy.smashed
    row = codec_for(compression, layout.features, layout.dtype).encoded_bytes(1)
    element = layout.dtype.itemsize
    return Traffic(
        parameters=round(clients * anatomy.client_parameters * element),
        smashed=round(samples * row),
        labels=round(samples * objective.label_width * objective.label_dtype.itemsize),
        cut_gradient=round(samples * row),
        gradients=round(clients * anatomy.client_gradients * element),
    )
