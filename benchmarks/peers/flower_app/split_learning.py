"""Split learning with Flower's message API: a step is two messages to each client.

A client that is offline, answers with an error or not in time is left out of the step.
"""

import time
from collections.abc import Mapping
from functools import cache

from benchmarks.peers.workload import CLIENTS, Site, Slice, Smashed, Trainer
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

TIMEOUT = 600.0
"""Seconds after which a step goes on without the clients that have not answered."""

server = ServerApp()
client = ClientApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Train."""
    trainer, nodes = Trainer(), _nodes(grid)
    for slices in trainer.slices(int(context.run_config["epochs"])):
        parameters = ArrayRecord(trainer.parameters)
        requests = {
            each: RecordDict({"parameters": parameters, "slice": ConfigRecord(piece._asdict())})
            for each, piece in slices.items()
        }
        smashed = {
            each: Smashed(**answer.array_records["smashed"].to_torch_state_dict())
            for each, answer in _ask(grid, nodes, "train.forward", requests).items()
        }
        if not smashed:
            continue
        cuts = trainer.cut_gradients(smashed)
        requests = {each: RecordDict({"cut": ArrayRecord({"gradient": cut})}) for each, cut in cuts.items()}
        answers = _ask(grid, nodes, "train.backward", requests)
        gradients = {
            each: answer.array_records["gradients"].to_torch_state_dict() for each, answer in answers.items()
        }
        if gradients:
            trainer.step(gradients)
    trainer.finish()


def _nodes(grid: Grid) -> dict[int, int]:
    """Wait for all clients; return the node of each."""
    while len(nodes := list(grid.get_node_ids())) < CLIENTS:
        time.sleep(1)
    requests = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in nodes]
    answers = grid.send_and_receive(requests)
    return {
        int(answer.content.config_records["site"]["client"]): answer.metadata.src_node_id
        for answer in answers
    }


def _ask(
    grid: Grid, nodes: Mapping[int, int], kind: str, requests: Mapping[int, RecordDict]
) -> dict[int, RecordDict]:
    """Send a message to each client that is online; return what those answered that could."""
    online = set(grid.get_node_ids())
    messages = [
        Message(content, dst_node_id=nodes[each], message_type=kind)
        for each, content in requests.items()
        if nodes[each] in online
    ]
    answers = {
        answer.metadata.src_node_id: answer.content
        for answer in grid.send_and_receive(messages, timeout=TIMEOUT)
        if answer.has_content()
    }
    return {each: answers[node] for each, node in nodes.items() if node in answers}


@client.query()
def introduce(message: Message, context: Context) -> Message:
    """Say which client this node is."""
    site = ConfigRecord({"client": context.node_config["partition-id"]})
    return Message(RecordDict({"site": site}), reply_to=message)


@client.train("forward")
def forward(message: Message, context: Context) -> Message:
    """Answer with smashed data and labels; keep the request, for apps have no state but the context's."""
    context.state = message.content
    smashed = _forward(context)
    arrays = ArrayRecord({"activations": smashed.activations.detach(), "labels": smashed.labels})
    return Message(RecordDict({"smashed": arrays}), reply_to=message)


@client.train("backward")
def backward(message: Message, context: Context) -> Message:
    """Answer with the gradient of the client part."""
    cut = message.content.array_records["cut"].to_torch_state_dict()["gradient"]
    gradients = _site(int(context.node_config["partition-id"])).backward(_forward(context), cut)
    return Message(RecordDict({"gradients": ArrayRecord(gradients)}), reply_to=message)


def _forward(context: Context) -> Smashed:
    parameters = context.state.array_records["parameters"].to_torch_state_dict()
    piece = context.state.config_records["slice"]
    return _site(int(context.node_config["partition-id"])).forward(parameters, Slice(**piece))


_site = cache(Site)
