"""Trained models, rebuilt from the file of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from typing_extensions import override

from pslgs.spec.errors import InputError
from pslgs.spec.result_files import BEST_FILE, CHECKPOINTS, MODEL_FILE
from pslgs.splitting.network import build_network
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.checkpoint import STATE, Checkpoint, CheckpointError, CheckpointStore, read_files
from pslgs.training.description import STATE_KEY, ModelDescription, description_from


class TrainedModel(nn.Module):
    """The network that a run trained, in evaluation mode; maps inputs to outputs, such as logits.

    Attributes:
        client_part: Maps inputs to the smashed data: one tensor, or a tuple of several.
        server_part: Maps the smashed data, given as separate arguments, to the outputs.
        description: Architecture, classes, shape of inputs and preprocessing.

    Several inputs are passed by name.
    """

    def __init__(self, network: SplitNetwork, description: ModelDescription) -> None:
        super().__init__()
        self.client_part = network.client_part
        self.server_part = network.server_part
        self.description = description
        self.eval()

    @override
    def forward(self, *samples: Tensor, **inputs: Tensor) -> Tensor:
        smashed = self.client_part(*samples, **inputs)
        output: Tensor = self.server_part(*((smashed,) if isinstance(smashed, Tensor) else smashed))
        return output


@dataclass(frozen=True, slots=True, eq=False)
class StoredModel:
    """The weights of a trained model, with its description.

    Attributes:
        place: File or folder that they were read from.
        tensors: The network's tensors by their original names.
        description: The description.
        step: Steps of the training; None for a file, which does not contain it.
    """

    place: Path
    tensors: Mapping[str, Tensor]
    description: ModelDescription
    step: int | None = None

    def build(self) -> TrainedModel:
        """Build the network and load its weights.

        Raises:
            InputError: this version builds another network from the description.
        """
        network = build_network(self.description, seed=0, inputs=self.description.input_names)
        try:
            network.load_named_tensors(self.tensors)
        except InputError as error:
            problems = "; ".join(each.problem for each in error.violations)
            made_by = ", ".join(f"{name} {version}" for name, version in self.description.versions.items())
            raise InputError.at(
                "", f"{self.place} does not fit the network that it describes, made by {made_by}: {problems}"
            ) from error
        return TrainedModel(network, self.description)


def load_model(source: Path | str, which: str = "final") -> TrainedModel:
    """Load the network that a run trained, in evaluation mode.

    Nothing is unpickled, and all weights must fit.  Of an architecture ``package.module:function``, that
    function is called.

    Args:
        source: Folder of a run, its model.safetensors, or a checkpoint in it.
        which: Of a run's folder: ``final``, the model at the end of the training, or of the last checkpoint
            if the run has not ended; ``last``, that of the last checkpoint; ``best``, that of the best
            evaluation.

    Raises:
        InputError: there is no such model, or it cannot be read or built.
    """
    return read_model(Path(source), which).build()


def read_model(source: Path, which: str = "final") -> StoredModel:
    """Read the weights and the description of a trained model; see `load_model`.

    Raises:
        InputError: there is no such model, or it cannot be read.
    """
    if not source.exists():
        place = "" if source.is_absolute() else f" in the working folder {Path.cwd()}"
        raise InputError.at("", f"{source} does not exist{place}; name the folder of a run, or its model")
    if source.is_file():
        return _read_file(source)
    if (source / STATE).is_file():
        return _read_checkpoint(source)
    match which:
        case "best" if not (source / BEST_FILE).is_file():
            raise InputError.at("", f"{source} has no {BEST_FILE}; take the model final or last")
        case "best":
            return _read_file(source / BEST_FILE)
        case "final" if _has_ended(source):
            return _read_file(source / MODEL_FILE)
        case "final" | "last":
            return _latest(source)
        case _:
            raise InputError.at("", f"there is no model '{which}' of a run; name final, last or best")


def _has_ended(run: Path) -> bool:
    """Return whether a run has a model, and no checkpoint that it wrote later, having been resumed."""
    model = run / MODEL_FILE
    if not model.is_file():
        return False
    written = model.stat().st_mtime_ns
    return all(each.stat().st_mtime_ns <= written for each in (run / CHECKPOINTS).glob(f"step-*/{STATE}"))


def _read_file(file: Path) -> StoredModel:
    try:
        with safe_open(file, framework="pt") as opened:
            description = description_from(opened.metadata() or {})
            return StoredModel(file, {name: opened.get_tensor(name) for name in opened.keys()}, description)  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise InputError.at("", f"{file} cannot be read as a model: {error}") from error
    except ValueError as error:
        raise InputError.at("", f"{file} cannot be used: {error}") from error


def _read_checkpoint(folder: Path) -> StoredModel:
    try:
        tensors, state = read_files(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError.at("", f"the checkpoint {folder} cannot be read: {error}") from error
    return _stored(folder, tensors, state, None)


def _latest(run: Path) -> StoredModel:
    try:
        checkpoint: Checkpoint | None = CheckpointStore(run / CHECKPOINTS, keep=1).load_latest()
    except CheckpointError as error:
        raise InputError.at("", str(error)) from error
    if checkpoint is None:
        raise InputError.at(
            "", f"{run} has neither {MODEL_FILE} nor a checkpoint; name the folder of a run that has one"
        )
    return _stored(checkpoint.path, checkpoint.tensors, checkpoint.state, checkpoint.step)


def _stored(
    place: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], step: int | None
) -> StoredModel:
    try:
        description = description_from(state.get(STATE_KEY) or {})
        return StoredModel(place, tensors["model"], description, step)
    except (ValueError, LookupError) as error:
        raise InputError.at("", f"the checkpoint {place} cannot be used as a model: {error}") from error
