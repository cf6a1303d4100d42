"""``pslgs validate``: check a manifest, and report all of its violations at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from pslgs.cli.options import FormatOption, JobArgument, OutputFormat, SetOption, print_json
from pslgs.cli.printing import print_pairs
from pslgs.spec import ExitCode, InputError, JobSpec, Partition, PartitionScheme, SplitTrainingJob, load_job

if TYPE_CHECKING:
    from pslgs.launch.data_notes import FoundData

_NAMES: Final = 10
"""Width of the column of names."""


def validate(
    job: JobArgument, overrides: SetOption = None, output_format: FormatOption = OutputFormat.TEXT
) -> None:
    """Check the fields and values of a manifest and their combination, and list its data on this machine."""
    from pslgs.launch.data_notes import find_data, limited, site_notes
    from pslgs.launch.local_clients import local_sites

    try:
        manifest = load_job(job, overrides or ())
        found, renamed = find_data(manifest.spec), [*site_notes(local_sites(manifest.spec))]
    except InputError as error:
        if output_format is OutputFormat.TEXT:
            raise
        print_json(_violations_document(job, error))
        raise typer.Exit(ExitCode.BAD_INPUT) from error
    if output_format is OutputFormat.JSON:
        print_json(
            {
                "file": str(job),
                "valid": True,
                "violations": [],
                "summary": summary(manifest),
                "data": _data_document(found),
            }
        )
    else:
        missing = "" if all(each.is_here for each in found) else ", but some of its data cannot be read here"
        typer.echo(f"{job}: valid{missing}")
        files = (("files", line) for line in limited([*renamed, *map(str, found)]))
        print_pairs([*summary(manifest).items(), *files], _NAMES)


def summary(job: SplitTrainingJob) -> Mapping[str, str]:
    """Summarize a job: a short text for each aspect of it, by name."""
    spec = job.spec
    return {
        "job": job.metadata.name,
        "model": _model(spec),
        "data": _data(spec),
        "training": _training(spec),
        "sampling": f"{spec.sampling.strategy}, {spec.sampling.global_batch_size} samples a step, "
        f"seed {spec.sampling.seed}",
    }


def _violations_document(job: Path, error: InputError) -> dict[str, object]:
    violations = [{"path": each.path, "problem": each.problem} for each in error.violations]
    return {"file": str(job), "valid": False, "violations": violations}


def _data_document(found: "Sequence[FoundData]") -> list[dict[str, object]]:
    return [
        {
            "field": each.field,
            "client": each.client,
            "found": each.found,
            "leftOut": {part.reason.value: part.count for part in each.left_out},
        }
        for each in found
    ]


def _model(spec: JobSpec) -> str:
    cut = f"cut after {spec.model.cut_layer}" if spec.model.cut_layer else "in two parts"
    return f"{spec.model.architecture}, {cut}"


def _data(spec: JobSpec) -> str:
    train = spec.data.train
    source = train.entrypoint or " in ".join(filter(None, (train.name, train.path)))
    holders = _partition(spec.data.partition) if spec.data.partition else "each client has its own"
    return f"{train.format} {source}, {holders}{_inputs(spec)}"


def _inputs(spec: JobSpec) -> str:
    """Name several inputs, and those whose values may be sent to the server."""
    names = ", ".join(
        f"{each.name} (may leave its site)" if each.may_leave_site else each.name for each in spec.data.inputs
    )
    return f"; inputs {names}" if names else ""


def _partition(partition: Partition) -> str:
    classes = f" with {partition.classes_per_client} classes each"
    skew = classes if partition.scheme is PartitionScheme.EXTENDED_DIRICHLET else ""
    return f"{partition.scheme} over {partition.clients} clients{skew}"


def _training(spec: JobSpec) -> str:
    optimizer = spec.optimizer
    return (
        f"{spec.epochs} epochs, {spec.loss}, {optimizer.name} at {optimizer.learning_rate:g} "
        f"({optimizer.schedule.name})"
    )
