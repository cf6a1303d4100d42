"""``pslgs run``: a server and its clients on this machine, with the same code as in a cluster."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pslgs.cli.options import DeviceOption, JobArgument, SetOption
from pslgs.process.machine import DATASET_CACHE
from pslgs.spec import ExitCode, parse_job
from pslgs.spec.manifest import read_document, with_overrides

if TYPE_CHECKING:
    from rich.console import Console

    from pslgs.launch.local_run import Outcome

FILES = ("model.safetensors", "report.html", "metrics.jsonl")


def run(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of clients.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; without it, one under runs/ named after the job.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,  # noqa: FBT002
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the metrics; 0 picks one.")
    ] = 0,
    device: DeviceOption = "auto",
    cache: Annotated[Path, typer.Option(help="Folder for converted datasets.")] = DATASET_CACHE,
    overrides: SetOption = None,
) -> None:
    """Train a job on this machine: its server and its clients are processes here."""
    from rich.console import Console

    from pslgs.cli.main import main
    from pslgs.launch import local_run, run_folder, sites
    from pslgs.launch.processes import needed_modules, warm_up
    from pslgs.launch.progress import ProgressView

    console = Console(highlight=False)
    document = with_overrides(read_document(job), overrides or ())
    document = with_overrides(document, sites.client_overrides(parse_job(document).spec, clients))
    manifest = parse_job(document)
    places = sites.sites(manifest.spec, clients)
    folder = run_folder.choose_folder(manifest.metadata.name, output, resume=resume)
    if metrics_port:
        local_run.check_port(metrics_port, "--metrics-port")
    cache = cache.expanduser()
    warm_up(main, *needed_modules(manifest.spec))
    from pslgs.launch import local_run, preflight

    with console.status("Checking the model and the data"):
        if resume:
            preflight.check_resume(folder, manifest.spec)
        preflight.preflight(manifest.spec, places, cache, device)
    cores = run_folder.prepare_folder(folder, document, len(places))
    plan = local_run.LocalRun(
        name=manifest.metadata.name,
        spec=manifest.spec,
        sites=places,
        folder=folder,
        cache=cache,
        cores=cores,
        http_port=metrics_port or local_run.free_port(),
        entry=main,
        device=device,
    )
    console.print(f"{len(places)} clients and a server; run folder {folder}", soft_wrap=True)
    console.print(f"metrics at http://127.0.0.1:{plan.http_port}/metrics", soft_wrap=True)
    with ProgressView(console) as view:
        outcome = asyncio.run(local_run.run_locally(plan, view))
    from pslgs.reporting.page import write_report

    write_report(folder, folder / "report.html")
    _tell(console, folder, outcome)
    raise typer.Exit(outcome.exit_code)


def _tell(console: "Console", folder: Path, outcome: "Outcome") -> None:
    from pslgs.reporting.page import summary

    for line in outcome.last_words:
        typer.echo(line, err=True)
    for name, words in summary(folder):
        console.print(f"  {name:<16}{words}", soft_wrap=True)
    for file in FILES:
        if (folder / file).exists():
            console.print(f"  {folder / file}", soft_wrap=True)
    if outcome.exit_code == ExitCode.INTERRUPTED:
        console.print(f"go on with: pslgs run {folder}/job.yaml --resume --output {folder}", soft_wrap=True)
