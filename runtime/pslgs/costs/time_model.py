"""How long a step takes: a model of the exchange between the server and its slowest client."""

from dataclasses import dataclass
from typing import Final

from pslgs.costs.result import StepTime
from pslgs.costs.traffic import StepTraffic
from pslgs.training.anatomy import Anatomy
from pslgs.training.slices import overlapped, slice_rows

BACKWARD: Final = 2
"""A backward's operations by those of its forward: gradients of the inputs, gradients of the weights."""


@dataclass(frozen=True, slots=True)
class Link:
    """A client's link to the server.

    Attributes:
        bandwidth: Bits per second, in each direction.
        latency: Seconds from one end to the other, one way.
    """

    bandwidth: float
    latency: float

    def transfer(self, size: float) -> float:
        """Return the seconds that ``size`` bytes take, latency aside."""
        return 8 * size / self.bandwidth


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a step is made.

    Attributes:
        link: Of each client.
        client_flops: Floating-point operations per second of a client.
        server_flops: Likewise of the server.
    """

    link: Link
    client_flops: float
    server_flops: float


def step_time(
    anatomy: Anatomy, payload: StepTraffic, local_batch: float, batch: float, conditions: Conditions
) -> StepTime:
    """Predict a step at the slowest client: T = 4·latency + P + [F ∥ U] + S + [D ∥ B] + G.

    P, U, D, G are the transfers of parameters, of smashed data with labels, of the cut gradient and of the
    client gradient; F and B are the client part's forward and backward of its local batch, S is both of the
    server part for the global batch.  What is in brackets goes on at once, in slices (`overlapped`).
    Clients are alike and work at the same time, the server's own link is no bottleneck, and loading samples,
    sums of gradients, the optimizer's step and messages as such take no time (some milliseconds).

    Args:
        anatomy: Of the cut network.
        payload: Of a step.
        local_batch: Samples of this client.
        batch: Samples of the global batch.
        conditions: Links and computing speeds.
    """
    link = conditions.link
    slices = len(slice_rows(round(local_batch), payload.sample_raw))
    forward = local_batch * anatomy.client_flops / conditions.client_flops
    backward = BACKWARD * forward
    server = batch * (1 + BACKWARD) * anatomy.server_flops / conditions.server_flops
    return StepTime(
        parameters=link.transfer(payload.parameters),
        forward=overlapped(forward, link.transfer(local_batch * payload.sample_up), slices),
        server=server,
        backward=overlapped(backward, link.transfer(local_batch * payload.sample_down), slices),
        gradient=link.transfer(payload.gradient),
        latency=4 * link.latency,
        compute=forward + server + backward,
    )
