"""From what a cut network is made of to what the cut costs the job."""

from dataclasses import dataclass, replace
from typing import Final

from pslgs.costs.result import CutFigures, StepTime
from pslgs.costs.time_model import Conditions, step_time
from pslgs.costs.traffic import StepTraffic, step_traffic
from pslgs.sampling.schedule_statistics import EpochStatistics
from pslgs.spec.transport import Compression
from pslgs.training.anatomy import Anatomy
from pslgs.training.objective import Objective

PROCESS_BYTES: Final = 512 << 20
"""Memory of a client's process before it has a network: Python and torch, as measured."""

_VECTORS: Final = 4  # parameters, their gradients, and both once more as they travel


@dataclass(frozen=True, slots=True)
class Costing:
    """What all cuts of a job have in common.

    Attributes:
        objective: Tells what labels look like.
        compression: Of smashed data and cut gradients.
        strategy: What the job's strategy makes of an epoch.
        conditions: Links and computing speeds.
    """

    objective: Objective
    compression: Compression
    strategy: EpochStatistics
    conditions: Conditions


def cut_figures(layer: str, anatomy: Anatomy, costing: Costing) -> CutFigures:
    """Work out what a cut after ``layer`` costs.

    Raises:
        InputError: the compression cannot carry its smashed data.
    """
    strategy, smashed = costing.strategy, anatomy.smashed
    payload = _payload(anatomy, costing)
    up = payload.up(strategy.batch_size, strategy.active_clients)
    down = payload.down(strategy.batch_size, strategy.active_clients)
    activations = strategy.peak_local_batch * anatomy.activation_bytes
    buffers = strategy.peak_local_batch * 2 * smashed.bytes_per_sample
    vectors = _VECTORS * anatomy.client_parameters * smashed.dtype.itemsize
    return CutFigures(
        layer=layer,
        smashed_shapes=smashed.shapes,
        smashed_bytes=smashed.bytes_per_sample,
        input_ratio=smashed.features / anatomy.input_elements,
        bytes_up=up,
        bytes_down=down,
        bytes_per_epoch=strategy.steps * (up + down),
        client_parameters=anatomy.client_parameters,
        server_parameters=anatomy.server_parameters,
        client_flops=anatomy.client_flops,
        server_flops=anatomy.server_flops,
        activation_bytes=activations,
        client_bytes=PROCESS_BYTES + activations + buffers + vectors,
        step=predicted_step(anatomy, costing),
    )


def predicted_step(anatomy: Anatomy, costing: Costing) -> StepTime:
    """Predict the time of a step, which waits for the client with the largest local batch."""
    strategy = costing.strategy
    return step_time(
        anatomy,
        _payload(anatomy, costing),
        strategy.largest_local_batch,
        strategy.batch_size,
        costing.conditions,
    )


def compressed_step_seconds(anatomy: Anatomy, costing: Costing) -> dict[str, float]:
    """Predict the time of a step under each compression."""
    return {
        str(compression): predicted_step(anatomy, replace(costing, compression=compression)).total
        for compression in Compression
    }


def _payload(anatomy: Anatomy, costing: Costing) -> StepTraffic:
    return step_traffic(
        anatomy.smashed,
        costing.objective,
        costing.compression,
        parameters=anatomy.client_parameters,
        gradients=anatomy.client_gradients,
    )
