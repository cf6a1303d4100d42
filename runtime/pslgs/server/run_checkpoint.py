"""Save and restore a run's checkpoint, and write its final model."""

import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pslgs.atomic_file import replacing
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.coordination.schedule_draw import LabelCounts
from pslgs.coordination.state import CoordinatorState
from pslgs.spec.definition import definition_changes, epochs_violation, training_definition
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.spec.result_files import MODEL_FILE
from pslgs.splitting.weights_file import save_weights
from pslgs.training.checkpoint import Checkpoint, CheckpointError, CheckpointStore, Damage
from pslgs.training.description import STATE_KEY, ModelDescription
from pslgs.training.server_model import ModelState, ServerModel
from pslgs.training.tensors import magnitude

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A checkpoint that was restored.

    Attributes:
        checkpoint: The checkpoint; an older one than requested if that did not fit.
        state: State of the coordinator.
        label_counts: Client -> its samples of each class.
    """

    checkpoint: Checkpoint
    state: CoordinatorState
    label_counts: LabelCounts


def snapshot(  # noqa: PLR0913, PLR0917 - the parts of a checkpoint
    state: CoordinatorState,
    label_counts: Mapping[str, Sequence[int]],
    spec: JobSpec,
    progress: Mapping[str, Any],
    description: ModelDescription | None = None,
    standardization: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the part of a checkpoint without tensors and optimizer settings, as JSON.

    Args:
        state: State of the coordinator.
        label_counts: Client -> its samples of each class.
        spec: The job; the fields that define the training are kept, to be compared on resume.
        progress: Result of `RunRecorder.progress`.
        description: What the model is, so that a checkpoint can be used without the job.
        standardization: Result of `FeatureStatistics.to_json`.
    """
    return {
        **({} if description is None else {STATE_KEY: description.to_metadata()}),
        "coordinator": state.to_json(),
        "label_counts": dict(label_counts),
        "job_digest": job_digest(spec).hex(),
        "definition": training_definition(spec),
        "progress": dict(progress),
        "standardization": standardization,
    }


class NonFiniteStateError(ArithmeticError):
    """The state is not finite, so no checkpoint of it is written; the message names the tensor."""


def save(store: CheckpointStore, step: int, model: ServerModel, rest: Mapping[str, Any]) -> None:
    """Write a checkpoint of step ``step``; to be called in the torch thread.

    Raises:
        NonFiniteStateError: the model or its optimizer is not finite.
        CheckpointError: it cannot be written.  In both cases earlier checkpoints stay intact.
    """
    state = model.state()
    optimizer = {f"optimizer.{name}": tensor for name, tensor in state.optimizer.items()}
    broken = model.non_finite() or next(
        (name for name, tensor in optimizer.items() if not math.isfinite(magnitude(tensor))), None
    )
    if broken is not None:
        raise NonFiniteStateError(f"'{broken}' is not finite after step {step}")
    tensors = {"model": state.model, "optimizer": state.optimizer, **state.more}
    store.save(
        step, tensors, {**rest, "optimizer": state.optimizer_settings, "training": dict(state.progress)}
    )


def load(store: CheckpointStore, unusable: Iterable[Damage] = ()) -> Checkpoint | None:
    """Read the newest intact checkpoint that is not ``unusable``; None if there are no checkpoints.

    Raises:
        InputError: none of the existing checkpoints can be used.
    """
    try:
        return store.load_latest(unusable)
    except CheckpointError as error:
        raise InputError.at("", str(error)) from error


def check_resumable(step: int, state: Mapping[str, Any], spec: JobSpec) -> None:
    """Check that a job may continue from a checkpoint.

    Args:
        step: Step of the checkpoint.
        state: The part of the checkpoint without tensors.
        spec: The present job.

    Raises:
        InputError: the job defines another training, or has fewer epochs than have begun; names each field.
    """
    if "definition" in state:
        violations = definition_changes(state["definition"], spec)
    elif state.get("job_digest") != job_digest(spec).hex():
        raise InputError.at(
            "",
            f"the checkpoint of step {step} is of a job with another model, data, loss, seed, strategy or "
            "compression; set these back, or start a new training (a new job, or another output folder)",
        )
    else:
        violations = []
    too_few = epochs_violation(spec, _epochs_begun(state), step)
    if too_few:
        violations.append(too_few)
    if violations:
        raise InputError(*violations)


def restore(
    store: CheckpointStore,
    checkpoint: Checkpoint,
    spec: JobSpec,
    model: ServerModel,
    classes: int | None,
) -> Restored:
    """Restore a checkpoint before training begins, or an older one if it does not fit the model.

    Raises:
        InputError: none of the checkpoints can be used.
    """
    while True:
        check_resumable(checkpoint.step, checkpoint.state, spec)
        try:
            return _restore_one(checkpoint, model, classes)
        except CheckpointError as error:
            unfit = Damage(checkpoint.path, str(error))
        _logger.warning("ignored a checkpoint that does not fit the job, %s", unfit)
        older = load(store, [*checkpoint.damaged, unfit])
        if older is None:
            raise InputError.at("", f"there is no checkpoint but {unfit}")
        checkpoint = older


def _restore_one(checkpoint: Checkpoint, model: ServerModel, classes: int | None) -> Restored:
    """Restore one checkpoint.

    Raises:
        CheckpointError: it does not fit the model, or is incomplete.
    """
    try:
        tensors, state = checkpoint.tensors, checkpoint.state
        coordinator = CoordinatorState.from_json(state["coordinator"])
        label_counts = {client: tuple(map(int, counts)) for client, counts in state["label_counts"].items()}
        if any(len(counts) != (classes or 0) for counts in label_counts.values()):
            raise CheckpointError(f"its label counts are not of {classes or 0} classes")
        more = {group: each for group, each in tensors.items() if group not in {"model", "optimizer"}}
        model.load_state(
            ModelState(
                tensors["model"],
                tensors["optimizer"],
                state["optimizer"],
                more,
                state.get("training", {}),
            )
        )
    except InputError as error:
        raise CheckpointError("; ".join(each.problem for each in error.violations)) from error
    except KeyError as error:
        raise CheckpointError(f"{error} is missing in it") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"its state has another form than this version's ({error})") from error
    return Restored(checkpoint, coordinator, label_counts)


def stored_scale(checkpoint: Checkpoint, features: int) -> FeatureScale | None:
    """Return the scale of so many features that a checkpoint contains; None if it was not fixed yet.

    Raises:
        InputError: it is not one of so many features.
    """
    stored = checkpoint.state.get("standardization")
    if not features or stored is None:
        return None
    try:
        return FeatureScale.from_json(stored, features)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError.at("", f"the checkpoint of step {checkpoint.step} is damaged: {error}") from error


def _epochs_begun(state: Mapping[str, Any]) -> int:
    """Return the number of epochs with at least one step; 0 if the state does not contain it."""
    try:
        epoch = state["coordinator"]["epoch"]
        return int(epoch["epoch"]) - (0 if epoch["offsets"] else 1)
    except (KeyError, TypeError, ValueError):
        return 0


_READABLE_BY_ALL = 0o644


def write_model(
    tensors: Mapping[str, Tensor], description: ModelDescription, run: Path, name: str = MODEL_FILE
) -> None:
    """Write the whole network's tensors by name into a file in the folder ``run``, which appears complete.

    Args:
        tensors: Name -> tensor.
        description: What the model is, for the metadata of the file.
        run: The folder.
        name: Name of the file.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(run / name) as new:
        save_weights(tensors, new, description.to_metadata())
        # The user who copies it from a volume is usually not the one who trained it.
        new.chmod(_READABLE_BY_ALL)


def prepare_run_folder(run: Path) -> Path:
    """Create the run folder if it is missing, and return it.

    Raises:
        InputError: this user may not write to it.
        OSError: it cannot be created for another reason.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise _not_writable(run) from error
    if not os.access(run, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise _not_writable(run)
    return run


def _not_writable(run: Path) -> InputError:
    return InputError.at(
        "",
        f"the run folder '{run}' is not writable for user {os.geteuid()}; change its owner, or that of the "
        "volume of spec.checkpoint.storage",
    )
