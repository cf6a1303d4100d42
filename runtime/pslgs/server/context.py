"""The parts of a server that the runners of effects share."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pslgs.coordination.messages import Event, ExchangeId, LocalBatch, RequestSent
from pslgs.server.client_faults import ClientFaults
from pslgs.server.connections import ClientConnections
from pslgs.server.feature_statistics import FeatureStatistics
from pslgs.server.label_statistics import LabelStatistics
from pslgs.server.recorder import RunRecorder
from pslgs.training.server_model import ServerModel
from pslgs.training.setup import TrainingSetup
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.codec import TensorCodec
from pslgs.transport.messages import EncodedFrame

PostEvent = Callable[[Event], None]
"""Posts an event to the coordinator."""

PROMPT_SECONDS = 0.1
"""Time within which a request is sent that the coordinator need not hear of: time-outs are longer by far, and
an event of each client in each pass would be half of all events of a small step."""


@dataclass(frozen=True, slots=True, eq=False)
class ServerContext:
    """The parts of a server that the runners of effects share.

    Attributes:
        task: The definition of the training.
        model: The network and its optimizer; only used in the torch thread, except for `ServerModel.empty`.
        torch: The torch thread.
        encoding: Encoding of smashed data and cut gradients.
        connections: The sessions of the clients.
        label_statistics: The clients' label counts.
        recorder: Writes the records.
        faults: Counts faults of clients.
        tasks: Group of the background tasks; an error in one of them ends the server.
        post: Posts an event to the coordinator.
        clock: Monotonic time in seconds.
        features: The clients' feature moments, and the scale that is fixed for the job.
    """

    task: TrainingSetup
    model: ServerModel
    torch: TorchThread
    encoding: TensorCodec
    connections: ClientConnections
    label_statistics: LabelStatistics
    recorder: RunRecorder
    faults: ClientFaults
    tasks: asyncio.TaskGroup
    post: PostEvent
    clock: Callable[[], float]
    features: FeatureStatistics = field(default_factory=FeatureStatistics)

    def request(self, exchange: ExchangeId, local_batch: LocalBatch, frames: Iterable[EncodedFrame]) -> None:
        """Send a request to a client; if that takes long, post `RequestSent` once it is sent completely."""
        begun = self.clock()

        def report_if_late(sent: asyncio.Future[bool]) -> None:
            if self.clock() - begun > PROMPT_SECONDS and not sent.cancelled() and sent.result():
                self.post(RequestSent(local_batch.client, exchange))

        number = local_batch.session
        sent = self.connections.send(number, self.features.preceding(number, frames))
        if sent is not None:
            sent.add_done_callback(report_if_late)
