"""Checkpoints of a whole run: tensors of both parts, the optimizer, and what the coordinator remembers."""

from collections.abc import Mapping
from typing import Any

from pslgs.coordination.snapshot import CoordinatorState
from pslgs.server.population import Population
from pslgs.spec.errors import InputError
from pslgs.training.checkpoint import Checkpoint, CheckpointError, CheckpointStore
from pslgs.training.server_model import ModelState, ServerModel


def snapshot(state: CoordinatorState, population: Population, digest: bytes) -> dict[str, Any]:
    """Return what of a checkpoint is not tensors, the optimizer's settings left out, as JSON."""
    return {
        "coordinator": state.to_json(),
        "label_counts": population.known(),
        "job_digest": digest.hex(),
    }


def save(store: CheckpointStore, step: int, model: ServerModel, rest: Mapping[str, Any]) -> None:
    """Write a checkpoint of step ``step``; to be called in the torch thread.

    Raises:
        CheckpointError: it cannot be written; the earlier ones are intact.
    """
    state = model.state()
    tensors = {"model": state.model, "optimizer": state.optimizer}
    store.save(step, tensors, {**rest, "optimizer": state.optimizer_settings})


def restore(
    checkpoint: Checkpoint, model: ServerModel, population: Population, digest: bytes
) -> CoordinatorState:
    """Put a checkpoint back; to be called before training begins.

    Raises:
        InputError: it is of another job.
        CheckpointError: it cannot be used.
    """
    if checkpoint.state.get("job_digest") != digest.hex():
        raise InputError.at(
            "",
            f"the checkpoint of step {checkpoint.step} is of a job with another model, data, loss, seed, "
            "strategy or compression; use another output folder, or undo the change",
        )
    tensors = checkpoint.tensors
    model.load_state(ModelState(tensors["model"], tensors["optimizer"], checkpoint.state["optimizer"]))
    for client, counts in checkpoint.state["label_counts"].items():
        population.count(client, counts)
    try:
        return CoordinatorState.from_json(checkpoint.state["coordinator"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"the state of the checkpoint of step {checkpoint.step} is incomplete"
        ) from error
