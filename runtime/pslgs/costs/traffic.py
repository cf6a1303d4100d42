"""Traffic of a step: bytes of the protocol's payloads, without frame headers, TLS and evaluations."""

from dataclasses import dataclass

from torch import nn

from pslgs.spec.deployment import Compression
from pslgs.splitting.layout import SmashedLayout
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.objective import Objective
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import parameter_elements
from pslgs.transport.codec import codec_for


@dataclass(frozen=True, slots=True)
class StepTraffic:
    """Bytes that a step transfers.

    Attributes:
        parameters: Parameters of the client part, to each active client.
        gradient: Gradient of the client part, from each active client.
        sample_up: Encoded smashed data and label of a sample, from its client.
        sample_down: Encoded cut gradient of a sample, to its client.
        sample_raw: Smashed data of a sample before encoding, which decides the number of slices.
    """

    parameters: int = 0
    gradient: int = 0
    sample_up: int = 0
    sample_down: int = 0
    sample_raw: int = 0

    def up(self, samples: float, clients: float) -> int:
        """Return the bytes to the server from ``clients`` clients with ``samples`` samples in all."""
        return round(samples * self.sample_up + clients * self.gradient)

    def down(self, samples: float, clients: float) -> int:
        """Return the bytes from the server to ``clients`` clients with ``samples`` samples in all."""
        return round(samples * self.sample_down + clients * self.parameters)


def step_traffic(
    layout: SmashedLayout, objective: Objective, compression: Compression, *, parameters: int, gradients: int
) -> StepTraffic:
    """Return the traffic of a step.

    Args:
        layout: Layout of the smashed data.
        objective: The loss, which decides width and type of labels.
        compression: Compression of smashed data and cut gradients.
        parameters: Number of elements of the client part, buffers included.
        gradients: Number of trained elements of the client part.

    Raises:
        InputError: the compression cannot carry such smashed data.
    """
    encoded = codec_for(compression, layout.features, layout.dtype).encoded_bytes(1)
    return StepTraffic(
        parameters=parameters * layout.dtype.itemsize,
        gradient=gradients * layout.dtype.itemsize,
        sample_up=encoded + objective.label_width * objective.label_dtype.itemsize,
        sample_down=encoded,
        sample_raw=layout.bytes_per_sample,
    )


def task_traffic(task: TrainingSetup, client_part: nn.Module, compression: Compression) -> StepTraffic:
    """Return the traffic of a step of a training.

    Raises:
        InputError: the compression cannot carry the smashed data.
    """
    return step_traffic(
        task.layout,
        task.objective,
        compression,
        parameters=parameter_elements(client_part),
        gradients=task.client_gradient_elements,
    )


def averaging_traffic(task: TrainingSetup, network: SplitNetwork) -> StepTraffic:
    """Return the traffic of a round of federated averaging: the whole network in both directions."""
    parts = network.client_part, network.server_part
    size = sum(map(parameter_elements, parts)) * task.layout.dtype.itemsize
    return StepTraffic(parameters=size, gradient=size)
