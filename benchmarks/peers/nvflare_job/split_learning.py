"""Split learning with NVFlare's Collab API: a step is two function calls at each client.

A client that fails or does not answer in time is left out from then on, for it cannot join again.

python split_learning.py SimEnv|PocEnv EPOCHS
"""

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.peers.workload import CLIENTS, Parameters, Site, Slice, Smashed, Trainer
from nvflare.collab import CollabRecipe, collab
from nvflare.recipe import PocEnv, SimEnv
from torch import Tensor

TIMEOUT = 30.0
"""Seconds after which a step goes on without the clients that have not answered."""

kept: dict[str, Any] = {}
"""What a client keeps from one call to the next."""
lost: set[int] = set()
"""Clients that are not asked any more."""


@collab.publish
def forward(client: int, parameters: Parameters, piece: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return smashed data and labels."""
    if not kept:
        kept["site"] = Site(client)
    kept["smashed"] = kept["site"].forward(parameters, Slice(*piece))
    return kept["smashed"].activations.detach(), kept["smashed"].labels


@collab.publish
def backward(cut_gradient: Tensor) -> Parameters:
    """Return the gradient of the client part."""
    gradients: Parameters = kept["site"].backward(kept["smashed"], cut_gradient)
    return gradients


@collab.main
def main() -> None:
    """Train."""
    trainer = Trainer()
    for slices in trainer.slices(collab.get_app_prop("epochs", 1)):
        parameters = trainer.parameters
        requests = {each: (each, parameters, tuple(piece)) for each, piece in slices.items()}
        smashed = {each: Smashed(*answer) for each, answer in _ask("forward", requests).items()}
        if not smashed:
            continue
        cuts = {each: (cut,) for each, cut in trainer.cut_gradients(smashed).items()}
        gradients = _ask("backward", cuts)
        if gradients:
            trainer.step(gradients)
    trainer.finish()


def _ask(function: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
    """Call a function of several clients at once; return what those answered that could."""
    calls = {}
    for client in arguments.keys() - lost:
        sites = collab.get_clients([f"site-{client + 1}"])
        calls[client] = getattr(sites(blocking=False, timeout=TIMEOUT), function)(*arguments[client])
    answered = {client: answer for client, answers in calls.items() for _, answer in answers}
    lost.update(calls.keys() - answered.keys())
    return {client: answered[client] for client in sorted(answered)}


if __name__ == "__main__":
    environment = {"SimEnv": SimEnv, "PocEnv": PocEnv}[sys.argv[1]](num_clients=CLIENTS)
    recipe = CollabRecipe("split-learning", min_clients=CLIENTS)
    recipe.set_server_prop("epochs", int(sys.argv[2]))
    # Send tensors with the calls, instead of having them fetched by further calls: these are small.
    recipe.add_server_config({"tensor_download_chunk_size": 0})
    recipe.add_client_config({"tensor_download_chunk_size": 0})
    run = recipe.execute(environment)
    print(run.get_result())
