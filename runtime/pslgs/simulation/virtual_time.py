"""How long a step would take over links and machines that are only assumed.

A step is forward at all active clients at once, then the server part, then backward at all of them, so

    T = max_k [2·latency + P + (F ∥ U)] + S + max_k [2·latency + (D ∥ B) + G]

P, U, D and G are client k's transfers of the client part's parameters, of smashed data with labels, of the
cut gradient and of the client gradient; F and B its forward and backward, B being twice F.  ∥ says that
computing and sending go on at once, slice by slice (`overlapped`).  S is the server part, forward and
backward.  The server's own link, the optimizer's step and checkpoints take no time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from pslgs.costs.traffic import StepTraffic, step_traffic
from pslgs.spec.profiles import ClientProfile
from pslgs.spec.transport import Compression
from pslgs.training.slices import overlapped, slice_rows
from pslgs.training.task import Task
from pslgs.training.vectors import parameter_elements

FORWARD_SHARE = 1 / 3
"""Of a client's computing: a backward has twice the operations of its forward."""
SERVER_SAMPLES_PER_SECOND = 10_000.0


def step_payload(task: Task, client_part: nn.Module, compression: Compression) -> StepTraffic:
    """Return what a step of ``task`` transfers.

    Raises:
        InputError: the compression cannot carry its smashed data.
    """
    return step_traffic(
        task.layout,
        task.objective,
        compression,
        parameters=parameter_elements(client_part),
        gradients=task.client_gradient_elements,
    )


def forward_seconds(profile: ClientProfile, payload: StepTraffic, samples: int) -> float:
    """Return the time from a client's order to its smashed data: 2·latency + P + (F ∥ U)."""
    compute = FORWARD_SHARE * samples / profile.samples_per_second
    sending = 8 * samples * payload.sample_up / profile.uplink
    slices = len(slice_rows(samples, payload.sample_raw))
    parameters = 8 * payload.parameters / profile.downlink
    return 2 * profile.latency + parameters + overlapped(compute, sending, slices)


def backward_seconds(profile: ClientProfile, payload: StepTraffic, samples: int) -> float:
    """Return the time from the cut gradient's departure to the client gradient: 2·latency + (D ∥ B) + G."""
    compute = (1 - FORWARD_SHARE) * samples / profile.samples_per_second
    receiving = 8 * samples * payload.sample_down / profile.downlink
    slices = len(slice_rows(samples, payload.sample_raw))
    gradient = 8 * payload.gradient / profile.uplink
    return 2 * profile.latency + overlapped(compute, receiving, slices) + gradient


@dataclass(frozen=True, slots=True)
class ClientTimeModel:
    """The clients of a simulation, as they are assumed to be.

    Attributes:
        profiles: Client -> profile; a client without one, and a fleet without any, takes no time.
        payload: What a step transfers.
        server_samples_per_second: Samples whose forward and backward the server computes a second.
    """

    profiles: Mapping[str, ClientProfile] = field(default_factory=dict)
    payload: StepTraffic = field(default_factory=StepTraffic)
    server_samples_per_second: float = SERVER_SAMPLES_PER_SECOND

    def forward_seconds(self, client: str, samples: int) -> float:
        """Return how long ``client`` takes to answer with its smashed data."""
        profile = self.profiles.get(client)
        return forward_seconds(profile, self.payload, samples) if profile else 0.0

    def backward_seconds(self, client: str, samples: int) -> float:
        """Return how long ``client`` takes to answer with its gradient."""
        profile = self.profiles.get(client)
        return backward_seconds(profile, self.payload, samples) if profile else 0.0

    def server_seconds(self, samples: int) -> float:
        """Return how long the server part takes."""
        return samples / self.server_samples_per_second if self.profiles else 0.0

    def dropout(self, client: str) -> float:
        """Return the probability that ``client`` is lost in a step that it is active in."""
        profile = self.profiles.get(client)
        return profile.dropout if profile else 0.0

    def delays(self, dataset_sizes: Mapping[str, int], global_batch_size: int) -> dict[str, float]:
        """Return how long each client keeps a step waiting with a local batch in proportion to its data."""
        pooled = max(1, sum(dataset_sizes.values()))
        expected = {
            client: max(1, round(global_batch_size * dataset_sizes[client] / pooled))
            for client in self.profiles
        }
        return {
            client: self.forward_seconds(client, samples) + self.backward_seconds(client, samples)
            for client, samples in expected.items()
        }


def step_seconds(fleet: ClientTimeModel, local_batches: Mapping[str, int]) -> float:
    """Return how long an undisturbed step takes, T of the module's formula; client -> local batch size."""
    forward = max(fleet.forward_seconds(client, samples) for client, samples in local_batches.items())
    backward = max(fleet.backward_seconds(client, samples) for client, samples in local_batches.items())
    return forward + fleet.server_seconds(sum(local_batches.values())) + backward
