"""The context that the runners of effects share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pslgs.coordination.effects import Share
from pslgs.coordination.events import Event, RequestSent, Ticket
from pslgs.server.client_faults import ClientFaults
from pslgs.server.population import Population
from pslgs.server.scribe import Scribe
from pslgs.server.switchboard import Sending, Switchboard
from pslgs.training.server_model import ServerModel
from pslgs.training.task import Task
from pslgs.training.torch_thread import TorchThread
from pslgs.wire.codec import TensorCodec

Tell = Callable[[Event], None]
"""Tells the coordinator of an event."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """The parts of a server that the runners of effects share.

    Attributes:
        task: The definition of the training.
        model: The network and its optimizer; only used in the torch thread, except for `ServerModel.empty`.
        torch: The torch thread.
        encoding: Of smashed data and cut gradients on the wire.
        switchboard: The clients' streams.
        population: The clients' label counts.
        scribe: Takes the records.
        faults: Counts what clients do wrong.
        tasks: Holds what goes on beside; an error in it ends the server.
        tell: Tells the coordinator.
        clock: Seconds, never going back.
    """

    task: Task
    model: ServerModel
    torch: TorchThread
    encoding: TensorCodec
    switchboard: Switchboard
    population: Population
    scribe: Scribe
    faults: ClientFaults
    tasks: asyncio.TaskGroup
    tell: Tell
    clock: Callable[[], float]

    def request(self, ticket: Ticket, share: Share, sending: Sending) -> None:
        """Send a client what it is to answer, and tell the coordinator once all of it is sent."""
        sent = partial(self.tell, RequestSent(share.client, ticket))
        self.switchboard.send(share.session, sending, sent)
