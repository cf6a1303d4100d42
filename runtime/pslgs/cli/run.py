"""``pslgs run``: train a job on this machine, with the server and clients of a cluster as local processes."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pslgs.cli.errors import is_debugging
from pslgs.cli.options import (
    CacheOption,
    DeviceOption,
    FormatOption,
    JobArgument,
    OutputFormat,
    RunFolderOption,
    SetOption,
    print_json,
)
from pslgs.cli.printing import print_pairs
from pslgs.process.machine import DATASET_CACHE
from pslgs.process.signals import StoppedEarly, stopping_early
from pslgs.spec import ExitCode, parse_job
from pslgs.spec.manifest import read_document, with_overrides
from pslgs.spec.result_files import BEST_FILE, MODEL_FILE

if TYPE_CHECKING:
    from rich.console import Console

    from pslgs.launch.local_run import Outcome

RESULT_FILES: Final = (MODEL_FILE, BEST_FILE, "report.html", "metrics.jsonl")


def run(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    job: JobArgument,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of clients.")] = None,
    output: RunFolderOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in that folder.")] = False,  # noqa: FBT002
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve metrics and status at; 0 selects a free one.")
    ] = 0,
    device: DeviceOption = "auto",
    cache: CacheOption = DATASET_CACHE,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Run whose model is the initial one; layers that differ, such as a head of other classes, "
            "are named by --set spec.model.initialWeights.except=[…].",
        ),
    ] = None,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Train a job on this machine, with a process for the server and one for each client."""
    from rich.console import Console

    from pslgs.cli.main import main
    from pslgs.data.slow_modules import slow_modules
    from pslgs.launch import data_notes, local_clients, local_run, run_folder
    from pslgs.launch.forked_preflight import preflight_in_process
    from pslgs.launch.processes import start_fork_server
    from pslgs.launch.progress import ProgressView

    console = Console(highlight=False, stderr=output_format is OutputFormat.JSON)
    with _stopped_before_training():
        document = _document_to_run(job, clients, start_from, overrides or ())
        manifest = parse_job(document)
        participants = local_clients.local_clients(manifest.spec, clients)
        folder = run_folder.choose_folder(manifest.metadata.name, output, resume=resume)
        if metrics_port:
            local_run.check_port(metrics_port, "--metrics-port")
        cache = cache.expanduser()
        forking = start_fork_server(main, *slow_modules(manifest.spec))
        with console.status("Checking the model and the data"):
            left_out = preflight_in_process(
                forking, manifest.spec, participants, cache, device, folder if resume else None
            )
        for line in data_notes.limited(
            [
                *data_notes.site_notes(local_clients.local_sites(manifest.spec)),
                *data_notes.left_out_notes(left_out),
            ]
        ):
            console.print(line, soft_wrap=True, markup=False)
        cores = run_folder.prepare_folder(folder, document, len(participants))
        plan = local_run.LocalRun(
            name=manifest.metadata.name,
            spec=manifest.spec,
            clients=participants,
            folder=folder,
            cache=cache,
            cores=cores,
            http_port=metrics_port or local_run.free_port(),
            entry=main,
            device=device,
            debug=is_debugging(context),
        )
        console.print(f"{len(participants)} clients and a server; run folder {folder}", soft_wrap=True)
        console.print(f"metrics at http://127.0.0.1:{plan.http_port}/metrics", soft_wrap=True)
        with ProgressView(console) as view:
            outcome = asyncio.run(local_run.run_locally(plan, view))
    from pslgs.reporting.page import write_report_of_ended_run

    if problem := write_report_of_ended_run(folder):
        typer.echo(problem, err=True)
    for message in outcome.messages:
        typer.echo(message, err=True)
    if output_format is OutputFormat.JSON:
        print_json(_document(folder, outcome))
    else:
        _print_outcome(console, folder, outcome)
    raise typer.Exit(outcome.exit_code)


@contextmanager
def _stopped_before_training() -> Iterator[None]:
    """End the command on SIGINT and SIGTERM, with a message, until the training handles these itself."""
    try:
        with stopping_early():
            yield
    except StoppedEarly as stopped:
        typer.echo(f"{stopped}; the training had not begun", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from stopped


def _document_to_run(
    job: Path, clients: int | None, start_from: Path | None, overrides: Sequence[str]
) -> object:
    """Read the manifest, and apply the options that change it."""
    from pslgs.launch import local_clients, run_folder

    document = with_overrides(read_document(job), overrides)
    if start_from is not None:
        weights = json.dumps(str(run_folder.weights_of(start_from)))
        document = with_overrides(document, [f"spec.model.initialWeights.path={weights}"])
    return with_overrides(document, local_clients.partition_overrides(parse_job(document).spec, clients))


def _print_outcome(console: "Console", folder: Path, outcome: "Outcome") -> None:
    from pslgs.reporting.page import summary

    print_pairs(summary(folder), 16, console)
    for file in RESULT_FILES:
        if (folder / file).exists():
            console.print(f"  {folder / file}", soft_wrap=True)
    if outcome.exit_code == ExitCode.INTERRUPTED:
        console.print(f"resume with: pslgs run {folder}/job.yaml --resume --output {folder}", soft_wrap=True)


def _document(folder: Path, outcome: "Outcome") -> dict[str, object]:
    from pslgs.reporting.page import summary

    return {
        "folder": str(folder),
        "exitCode": int(outcome.exit_code),
        "messages": list(outcome.messages),
        "summary": {name: words.replace("\N{NO-BREAK SPACE}", " ") for name, words in summary(folder)},
        "files": [str(folder / file) for file in RESULT_FILES if (folder / file).exists()],
    }
