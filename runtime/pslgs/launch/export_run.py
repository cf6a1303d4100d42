"""Export of a run's model, checked against the evaluation that the run recorded."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import open_evaluation_data
from pslgs.inference.export import Run, export_model, runner
from pslgs.inference.formats import ExportFormat, Part
from pslgs.inference.trained_model import StoredModel, read_model
from pslgs.launch.run_folder import JOB_FILE
from pslgs.model_inputs import Inputs, for_each, tensors_of, zeros
from pslgs.sampling.randomness import Purpose, torch_seed
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import InputType
from pslgs.spec.job import JobSpec
from pslgs.spec.manifest import load_job
from pslgs.spec.metrics import is_better
from pslgs.telemetry.journal import FILE_NAME, read
from pslgs.telemetry.records import EvaluationRecord, Record, StepRecord
from pslgs.training.description import ModelDescription
from pslgs.training.objective import Objective, objective

_BATCH: Final = 64
_TOLERANCE: Final = 0.002
"""Difference from the recorded accuracy that another device or number of threads may cause."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, and how it was checked.

    Attributes:
        file: The file.
        place: File or folder that the weights were read from.
        step: Steps of the training; None if the weights do not contain it.
        difference: Largest difference of an output from the model's own.
        samples: Evaluation samples that were scored with the file; 0 for none.
        accuracy: Their accuracy; None without classes.
        recorded: Accuracy that the run recorded for the model; None if it did not.
    """

    file: Path
    place: Path
    step: int | None
    difference: float
    samples: int = 0
    accuracy: float | None = None
    recorded: float | None = None


def export_run(  # noqa: PLR0913, PLR0917 - the options of the command
    run: Path, which: str, kind: ExportFormat, part: Part, output: Path, cache: Path
) -> Exported:
    """Export the model of a run, and score the evaluation samples that the server reads with the file.

    Args:
        run: Folder of the run, or a file or checkpoint in it.
        which: See `load_model`.
        kind: Format of the file.
        part: Part to write; only the whole model is scored.
        output: File to write.
        cache: Folder for converted datasets.

    Raises:
        InputError: the model cannot be read or exported, or the file differs from it or from the evaluation.
        OSError: the file cannot be written.
    """
    stored = read_model(run, which)
    spec = _spec_of(run)
    data = None if spec is None else _evaluation_data(spec, stored.description, cache)
    difference = export_model(stored, kind, part, output, _some_inputs(stored, data))
    exported = Exported(output, stored.place, stored.step, difference)
    if spec is None or data is None or part is not Part.WHOLE:
        return exported
    accuracy = _accuracy(runner(stored, kind, part, output), _objective(spec, stored), data)
    if accuracy is None:
        return exported
    recorded = _recorded_best(run) if which == "best" else _recorded(run)
    if recorded is not None and abs(recorded - accuracy) > max(_TOLERANCE, 1.5 / data.samples):
        output.unlink()
        raise InputError.at(
            "",
            f"the exported model classifies {accuracy:.1%} of the evaluation samples correctly, but the run "
            f"recorded {recorded:.1%}; do the samples differ from then? The file was removed",
        )
    return replace(exported, samples=data.samples, accuracy=accuracy, recorded=recorded)


def _spec_of(run: Path) -> JobSpec | None:
    return load_job(run / JOB_FILE).spec if (run / JOB_FILE).is_file() else None


def _evaluation_data(spec: JobSpec, description: ModelDescription, cache: Path) -> ClientDataset | None:
    """Open the evaluation data of the server, scaled as in the run, if it has such and they are here."""
    evaluation = spec.data.evaluation
    if evaluation is None or evaluation.at is not EvaluationPlace.SERVER:
        return None
    try:
        data = open_evaluation_data(spec.data, cache=cache, class_names=description.classes)
    except InputError:
        return None
    data.scale_by(description.preprocessing.scaling(description.input_shape))
    return data


def _some_inputs(stored: StoredModel, data: ClientDataset | None) -> Inputs:
    """Return inputs to compare with: evaluation samples, or random numbers."""
    if data is not None and data.samples > 1:
        return data.in_order(0, min(_BATCH, data.samples)).inputs
    rng = torch.Generator().manual_seed(torch_seed(0, Purpose.INITIAL_WEIGHTS))
    kind = torch.int64 if stored.description.preprocessing.input_type is InputType.INTEGER else torch.float32
    return for_each(
        zeros(stored.description.input_shape, 3, kind),
        lambda values: torch.rand(values.shape, generator=rng) if values.is_floating_point() else values,
    )


def _objective(spec: JobSpec, stored: StoredModel) -> Objective:
    return objective(spec.loss, stored.description.output_shape, torch.float32, spec.loss_options)


@torch.no_grad()
def _accuracy(run: Run, scored: Objective, data: ClientDataset) -> float | None:
    """Return the fraction of correctly classified samples; None if labels are not classes."""
    correct = 0
    for first in range(0, data.samples, _BATCH):
        batch = data.in_order(first, min(_BATCH, data.samples - first))
        (outputs,) = run(*tensors_of(batch.inputs))
        right = scored.correct(outputs, scored.as_labels(batch.labels))
        if right is None:
            return None
        correct += right
    return correct / data.samples


def _recorded_best(run: Path) -> float | None:
    """Return the accuracy in the run's best evaluation by its metric; None without one."""
    best: EvaluationRecord | None = None
    for record in _journal(run):
        if not isinstance(record, EvaluationRecord) or record.value is None:
            continue
        before = best.value if best is not None and best.metric == record.metric else None
        if before is None or is_better(record.metric, record.value, before):
            best = record
    return None if best is None else best.accuracy


def _recorded(run: Path) -> float | None:
    """Return the accuracy that the run recorded after its last step; None if it did not evaluate then."""
    last_step, accuracy = 0, None
    for record in _journal(run):
        match record:
            case StepRecord(step=step):
                last_step, accuracy = step, None
            case EvaluationRecord() if record.step == last_step:
                accuracy = record.accuracy
            case _:
                pass
    return accuracy


def _journal(run: Path) -> Iterator[Record]:
    """Return the records of a run; none if it has no journal."""
    file = run / FILE_NAME
    return iter(read(file, lambda _damage: None) if file.is_file() else ())
