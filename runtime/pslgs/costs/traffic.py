"""The bytes of a step: payloads as the protocol has them, without frame headers, TLS and evaluations."""

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
    """What travels in a step, in bytes.

    Attributes:
        parameters: The client part, down to each active client.
        gradient: Of the client part, up from each active client.
        sample_up: Smashed data and labels of a sample, as they are encoded.
        sample_down: The cut gradient of a sample, as it is encoded.
        sample_raw: Smashed data of a sample before they are encoded, by which slices are cut.
    """

    parameters: int = 0
    gradient: int = 0
    sample_up: int = 0
    sample_down: int = 0
    sample_raw: int = 0

    def up(self, samples: float, clients: float) -> int:
        """Count the bytes from ``clients`` that contribute ``samples`` together to the server."""
        return round(samples * self.sample_up + clients * self.gradient)

    def down(self, samples: float, clients: float) -> int:
        """Count the bytes from the server to ``clients`` that contribute ``samples`` together."""
        return round(samples * self.sample_down + clients * self.parameters)


def step_traffic(
    layout: SmashedLayout, objective: Objective, compression: Compression, *, parameters: int, gradients: int
) -> StepTraffic:
    """Return what a step transfers.

    Args:
        layout: Of the smashed data.
        objective: Tells what labels look like.
        compression: Of smashed data and cut gradients.
        parameters: Numbers in the client part, its buffers included.
        gradients: Numbers in the client part that are trained.

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
    """Return what a step of a training transfers.

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
    """Return what a round of federated averaging transfers: the whole network, down and up."""
    parts = network.client_part, network.server_part
    size = sum(map(parameter_elements, parts)) * task.layout.dtype.itemsize
    return StepTraffic(parameters=size, gradient=size)
