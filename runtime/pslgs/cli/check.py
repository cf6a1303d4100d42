"""``pslgs check``: read every sample of a job's data, and say what is in them and what would stop the job."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pslgs.cli.options import (
    CacheOption,
    FormatOption,
    JobArgument,
    OutputFormat,
    SetOption,
    print_json,
)
from pslgs.process.machine import DATASET_CACHE, available_cores
from pslgs.spec import ExitCode, load_job

if TYPE_CHECKING:
    from pslgs.launch.data_check import CheckedData

_SHOWN: Final = 20
"""Maximum number of damaged samples and of classes that the text names for each dataset."""


def check(
    job: JobArgument,
    client: Annotated[
        str | None,
        typer.Option("--client", metavar="NAME", help="Check the data of this client only, by its id."),
    ] = None,
    cache: CacheOption = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Read every sample of a job's data on this machine; exit with 0 only if nothing would stop the job."""
    from rich.console import Console

    from pslgs.data.doubtful_classes import doubtful_classes
    from pslgs.launch.check_progress import ProgressBars
    from pslgs.launch.data_check import batch_size_problem, check_data, problems_of
    from pslgs.launch.local_clients import local_client, local_clients

    spec = load_job(job, overrides or ()).spec
    clients = [local_client(spec, client)] if client else local_clients(spec, None)
    with ProgressBars(Console(stderr=True)) as view:
        found = check_data(spec, clients, cache.expanduser(), available_cores(), view)
    problems = problems_of(found)
    too_large = None if client else batch_size_problem(spec, found)
    if too_large is not None:
        problems.append(too_large)
    warnings = list(doubtful_classes(each.classes for each in found))
    if output_format is OutputFormat.JSON:
        datasets = [each.to_json() for each in found]
        told = {"ok": not problems, "problems": problems, "warnings": warnings, "datasets": datasets}
        print_json({"file": str(job), **told})
    else:
        for line in _lines(found):
            typer.echo(line)
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        for problem in problems:
            typer.echo(f"error: {problem}", err=True)
        typer.echo("nothing that would stop the job" if not problems else "the job would stop")
    raise typer.Exit(ExitCode.BAD_INPUT if problems else ExitCode.FINISHED)


def _lines(found: "Sequence[CheckedData]") -> Iterator[str]:
    from pslgs.model_inputs import shape_text

    for each in found:
        read = "could not be read, see below" if each.samples is None else f"{each.samples:,} samples"
        yield f"{each.client or 'data'}: {each.path}, {read}"
        if each.classes:
            yield "  classes   " + _listed([f"{name} {count:,}" for name, count in each.classes.items()])
        if each.shapes:
            yield "  shapes    " + _listed(
                [f"{shape_text(shape)} {count:,}" for shape, count in each.shapes.items()]
            )
        if each.left_out:
            yield "  left out  " + _listed([f"{name} {count:,}" for name, count in each.left_out.items()])
        for number, problem in each.damaged[:_SHOWN]:
            yield f"  damaged   sample {number}: it {problem}"
        if len(each.damaged) > _SHOWN:
            yield f"  damaged   {len(each.damaged) - _SHOWN:,} more samples; --format json lists all"


def _listed(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _SHOWN:,} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more
