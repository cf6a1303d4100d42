"""How long a round of federated averaging would take over links and machines that are only assumed.

All clients with data work at once, each on all of its own, so

    T = max_k [2·latency + P + C + G]

P and G are client k's transfers of the whole network, down and up.  C is its forward and backward of N_k
samples through the whole network: a profile has the speed of the client part, and the rest of the network
takes as much longer as it has more operations.  Averaging takes no time.
"""

from collections.abc import Mapping

from pslgs.simulation.virtual_time import Fleet
from pslgs.spec.profiles import ClientProfile
from pslgs.training.anatomy import dissect
from pslgs.training.task import Task
from pslgs.training.vectors import parameter_elements
from pslgs.wire.payload import Payload


def averaging_payload(task: Task) -> Payload:
    """Return what a round transfers: the whole network, down and up."""
    parts = task.network.client_part, task.network.server_part
    size = sum(map(parameter_elements, parts)) * task.layout.dtype.itemsize
    return Payload(parameters=size, gradient=size)


def round_seconds(fleet: Fleet, dataset_sizes: Mapping[str, int], task: Task) -> float | None:
    """Return the time of a round; client -> N_k.

    None where nothing is modelled, or the client part has no operations whose speed could be known.
    """
    working = {client: samples for client, samples in dataset_sizes.items() if samples}
    if not fleet.profiles or not working:
        return None
    anatomy = dissect(task.network, task.input_shape)
    if not anatomy.client_flops:
        return None
    longer = 1 + anatomy.server_flops / anatomy.client_flops
    return max(
        client_seconds(fleet.profiles[client], fleet.payload, longer * samples)
        for client, samples in working.items()
    )


def client_seconds(profile: ClientProfile, payload: Payload, samples: float) -> float:
    """Return a client's part of a round, with as many samples as would take the client part that long."""
    download, upload = 8 * payload.parameters / profile.downlink, 8 * payload.gradient / profile.uplink
    return 2 * profile.latency + download + samples / profile.samples_per_second + upload
