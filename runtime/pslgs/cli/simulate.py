"""``pslgs simulate``: run a job with virtual clients in one process, for pilots and experiments."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pslgs.cli.options import DeviceOption, FormatOption, JobArgument, OutputFormat, SetOption, print_json
from pslgs.process.machine import DATASET_CACHE, available_cores
from pslgs.simulation.job_variants import Skew
from pslgs.spec import load_job
from pslgs.spec.training import Baseline, SamplingStrategy

if TYPE_CHECKING:
    from rich.console import Console

    from pslgs.simulation.result import SimulationResult
    from pslgs.simulation.setup import Simulation

SCHEDULE_FILE = "schedule.csv"

RecalibrateOption = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="BATCHES",
        help="Score each evaluation a second time, with BatchNorm statistics estimated over this number of "
        "global batches.",
    ),
]


def simulate(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of virtual clients.")] = None,
    partition: Annotated[
        Skew | None, typer.Option(help="How unequal the clients are: two classes per client, five, or IID.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Sampling strategy: {', '.join(SamplingStrategy)}, or a baseline: {', '.join(Baseline)}.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every random number.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:WEIGHT],…",
            help="Links and machines to model: lan, wifi, lte, satellite or a YAML file; lan:0.8,lte:0.2.",
        ),
    ] = None,
    schedule_only: Annotated[  # noqa: FBT002 - an option of a command
        bool, typer.Option("--schedule-only", help="Draw the batches without training.")
    ] = False,
    recalibrate: RecalibrateOption = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; without it, one under runs/ named after the job.")
    ] = None,
    device: DeviceOption = "auto",
    cache: Annotated[Path, typer.Option(help="Folder for converted datasets.")] = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Simulate a job with up to thousands of virtual clients in one process, with the code of a run."""
    # Server and clients take turns on the same cores, so idle threads must not spin on them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from rich.console import Console

    from pslgs.launch.sites import sites
    from pslgs.sampling.registry import strategy_named
    from pslgs.simulation.job_variants import job_variant
    from pslgs.simulation.setup import Simulation, SimulationOptions, parse_mix
    from pslgs.simulation.summary import summary, words

    manifest = load_job(job, overrides or ())
    chosen = strategy_named(strategy or manifest.spec.sampling.strategy, "--strategy")
    own_data = manifest.spec.data.train.is_per_client
    varied = job_variant(
        manifest, strategy=chosen, clients=None if own_data else clients, skew=partition, seed=seed
    )
    names = [site.client_id for site in sites(varied.spec, clients if own_data else None)]
    options = SimulationOptions(
        profile=parse_mix(profile) if profile is not None else None,
        schedule_only=schedule_only,
        client_ids=names if own_data else None,
        cache=cache,
        recalibration_batches=recalibrate,
        device=device,
    )
    console = Console(highlight=False, stderr=output_format is OutputFormat.JSON)
    simulation = Simulation(varied, chosen, options)
    result = (_look if schedule_only else _train)(console, simulation, output, names)
    figures = summary(result)
    if output_format is OutputFormat.JSON:
        print_json(figures)
    else:
        for name, line in words(figures):
            console.print(f"  {name:<16}{line}", soft_wrap=True)
    raise typer.Exit(result.exit_code)


def _look(
    console: "Console", simulation: "Simulation", output: Path | None, clients: Sequence[str]
) -> "SimulationResult":
    """Draw the schedule; write the figures of each step only where a folder is named."""
    from pslgs.simulation.api import run_simulation
    from pslgs.simulation.summary import write_table

    with console.status(f"Drawing the batches of {len(clients)} clients"):
        result = run_simulation(simulation, lambda _record, _steps: None)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_table(result.steps, output / SCHEDULE_FILE)
        console.print(f"  {output / SCHEDULE_FILE}", soft_wrap=True)
    return result


def _train(
    console: "Console", simulation: "Simulation", output: Path | None, clients: Sequence[str]
) -> "SimulationResult":
    """Train in a run folder, and write the report."""
    from pslgs.launch.progress import ProgressView
    from pslgs.launch.run_folder import choose_folder
    from pslgs.launch.simulate_job import train_in_folder
    from pslgs.reporting.page import write_report
    from pslgs.training.torch_thread import configure_torch

    configure_torch(available_cores())
    folder = choose_folder(f"{simulation.job.metadata.name}-simulated", output, resume=False)
    console.print(f"{len(clients)} virtual clients; run folder {folder}", soft_wrap=True)
    with ProgressView(console) as view:
        result = train_in_folder(simulation, folder, clients, view)
    write_report(folder, folder / "report.html")
    return result
