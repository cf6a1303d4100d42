"""How long a step takes: the model behind plans and simulated clocks.

In a step, all active clients compute forward at once, then the server part is computed, then all active
clients compute backward at once:

    T = max_k [2·latency + P + (F ∥ U)] + S + max_k [2·latency + (D ∥ B) + G]

P, U, D and G are client k's transfers of the client part's parameters, of smashed data with labels, of the
cut gradient and of the client gradient.  F and B are its forward and backward of the local batch, and S is
the forward and backward of the server part for the global batch.  ∥ means that a client computes and
transfers at the same time, slice by slice (`overlapped`).  The server's own link is no bottleneck, and
loading samples, summing gradients, the optimizer's step, checkpoints and messages as such take no time, nor
does what the GPUs of a server exchange.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pslgs.costs.traffic import StepTraffic
from pslgs.spec.profiles import ClientProfile
from pslgs.training.profile import NetworkProfile
from pslgs.training.tensors import overlapped, slice_rows

BACKWARD: Final = 2
"""Operations of a backward per operation of its forward: gradients of the inputs and of the weights."""
FORWARD_SHARE: Final = 1 / (1 + BACKWARD)
"""The forward's share of the operations of forward and backward."""
SERVER_SAMPLES_PER_SECOND: Final = 10_000.0
"""Samples whose forward and backward the server computes per second, unless it is set otherwise."""


@dataclass(frozen=True, slots=True)
class Link:
    """A client's link to the server.

    Attributes:
        uplink: Bits per second from the client to the server.
        downlink: Bits per second from the server to the client.
        latency: Seconds from one end to the other, one way.
    """

    uplink: float
    downlink: float
    latency: float

    @classmethod
    def symmetric(cls, bandwidth: float, latency: float) -> "Link":
        """Create a link with the same bandwidth in both directions, in bits per second."""
        return cls(bandwidth, bandwidth, latency)

    @classmethod
    def of_profile(cls, profile: ClientProfile) -> "Link":
        """Create the link of a client profile."""
        return cls(profile.uplink, profile.downlink, profile.latency)

    def upload(self, size: float) -> float:
        """Return the seconds in which ``size`` bytes reach the server, without latency."""
        return 8 * size / self.uplink

    def download(self, size: float) -> float:
        """Return the seconds in which ``size`` bytes reach the client, without latency."""
        return 8 * size / self.downlink


@dataclass(frozen=True, slots=True)
class ClientTime:
    """One client's time in a step, in seconds.

    Attributes:
        parameters: P, transfer of the client part's parameters.
        forward: F ∥ U, forward and transfer of smashed data with labels.
        backward: D ∥ B, transfer of the cut gradient and backward.
        gradient: G, transfer of the client gradient.
        latency: Latency of the link, one way.
    """

    parameters: float
    forward: float
    backward: float
    gradient: float
    latency: float

    @property
    def until_smashed_data(self) -> float:
        """From the server's order to the last smashed data: 2·latency + P + (F ∥ U)."""
        return 2 * self.latency + self.parameters + self.forward

    @property
    def until_gradient(self) -> float:
        """From sending the cut gradient to the client gradient: 2·latency + (D ∥ B) + G."""
        return 2 * self.latency + self.backward + self.gradient


def client_time(
    link: Link, traffic: StepTraffic, samples: float, forward: float, backward: float
) -> ClientTime:
    """Predict a client's time in a step.

    Args:
        link: The client's link.
        traffic: What a step transfers.
        samples: Local batch size; a mean over steps need not be whole.
        forward: F, seconds of computing.
        backward: B, seconds of computing.
    """
    slices = len(slice_rows(round(samples), traffic.sample_raw))
    return ClientTime(
        parameters=link.download(traffic.parameters),
        forward=overlapped(forward, link.upload(samples * traffic.sample_up), slices),
        backward=overlapped(backward, link.download(samples * traffic.sample_down), slices),
        gradient=link.upload(traffic.gradient),
        latency=link.latency,
    )


def round_time(link: Link, traffic: StepTraffic, compute: float) -> float:
    """Predict a client's seconds in a round of federated averaging: 2·latency + P + C + G.

    Args:
        link: The client's link.
        traffic: What a round transfers: the whole network in both directions.
        compute: C, seconds of computing.
    """
    return 2 * link.latency + link.download(traffic.parameters) + compute + link.upload(traffic.gradient)


@dataclass(frozen=True, slots=True)
class StepTime:
    """Where the time of a step goes at the client with the largest local batch, in seconds.

    Attributes:
        parameters: Transfer of the client part's parameters.
        forward: The client computes; slices of smashed data and labels are transferred meanwhile.
        server: Forward and backward of the server part.
        backward: The cut gradient is transferred in slices; the client computes meanwhile.
        gradient: Transfer of the client gradient.
        latency: Latency of the four messages in a row.
        compute: The part of all this in which the client or the server computes.
    """

    parameters: float
    forward: float
    server: float
    backward: float
    gradient: float
    latency: float
    compute: float

    @property
    def total(self) -> float:
        """Seconds of the whole step."""
        return self.parameters + self.forward + self.server + self.backward + self.gradient + self.latency

    @property
    def wire_share(self) -> float:
        """Share of the step in which nothing is computed because everybody waits for a transfer; 0 … 1."""
        return 1 - self.compute / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """Links and computing speeds of a plan, in which all clients are alike.

    Attributes:
        link: Link of each client.
        client_flops: Floating-point operations per second of a client.
        server_flops: Floating-point operations per second of the server, of one GPU if it has several.
        server_gpus: Number of devices that compute the server part, each a part of the samples.
    """

    link: Link
    client_flops: float
    server_flops: float
    server_gpus: int = 1

    def samples_at_a_gpu(self, batch: float) -> float:
        """Return the samples of a global batch that one device computes; too few are not divided."""
        return batch / self.server_gpus if batch >= self.server_gpus else batch


def step_time(
    profile: NetworkProfile, traffic: StepTraffic, local_batch: float, batch: float, conditions: Conditions
) -> StepTime:
    """Predict a step from the operations of a network; it waits for the client with the largest local batch.

    Args:
        profile: The cut network.
        traffic: What a step transfers.
        local_batch: Samples of that client.
        batch: Samples of the global batch.
        conditions: Links and computing speeds.
    """
    forward = local_batch * profile.client_flops / conditions.client_flops
    backward = BACKWARD * forward
    at_a_gpu = conditions.samples_at_a_gpu(batch)
    server = at_a_gpu * (1 + BACKWARD) * profile.server_flops / conditions.server_flops
    client = client_time(conditions.link, traffic, local_batch, forward, backward)
    return StepTime(
        parameters=client.parameters,
        forward=client.forward,
        server=server,
        backward=client.backward,
        gradient=client.gradient,
        latency=4 * client.latency,
        compute=forward + server + backward,
    )


@dataclass(frozen=True, slots=True)
class ClientTimeModel:
    """Times of a simulation's clients, each with a profile of its link and machine.

    Attributes:
        profiles: Client -> profile.  A client without one takes no time; without any, nor does the server.
        traffic: What a step transfers.
        server_samples_per_second: Samples whose forward and backward the server computes per second.
    """

    profiles: Mapping[str, ClientProfile] = field(default_factory=dict)
    traffic: StepTraffic = field(default_factory=StepTraffic)
    server_samples_per_second: float = SERVER_SAMPLES_PER_SECOND

    def client(self, client: str, samples: int) -> ClientTime:
        """Return the time of ``client`` in a step to which it contributes ``samples``."""
        profile = self.profiles.get(client)
        if profile is None:
            return _NO_TIME
        forward = FORWARD_SHARE * samples / profile.samples_per_second
        backward = (1 - FORWARD_SHARE) * samples / profile.samples_per_second
        return client_time(Link.of_profile(profile), self.traffic, samples, forward, backward)

    def server_seconds(self, samples: int) -> float:
        """Return the seconds in which the server part is computed for a global batch of ``samples``."""
        return samples / self.server_samples_per_second if self.profiles else 0.0

    def step_seconds(self, local_batches: Mapping[str, int]) -> float:
        """Return the seconds of an undisturbed step; client -> local batch size."""
        times = [self.client(client, samples) for client, samples in local_batches.items()]
        forward = max(each.until_smashed_data for each in times)
        backward = max(each.until_gradient for each in times)
        return forward + self.server_seconds(sum(local_batches.values())) + backward

    def dropout(self, client: str) -> float:
        """Return the probability that ``client`` is lost in a step in which it is active."""
        profile = self.profiles.get(client)
        return profile.dropout if profile else 0.0

    def delays(self, dataset_sizes: Mapping[str, int], global_batch_size: int) -> dict[str, float]:
        """Return the seconds of each client in a step with a local batch in proportion to its data."""
        pooled = max(1, sum(dataset_sizes.values()))
        delays = {}
        for client in self.profiles:
            time = self.client(client, max(1, round(global_batch_size * dataset_sizes[client] / pooled)))
            delays[client] = time.until_smashed_data + time.until_gradient
        return delays


_NO_TIME: Final = ClientTime(0.0, 0.0, 0.0, 0.0, 0.0)
