"""``pslgs simulate``: simulate a job with virtual clients in one process, for pilots and experiments."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pslgs.cli.options import (
    CacheOption,
    DeviceOption,
    FormatOption,
    JobArgument,
    OutputFormat,
    PartitionOption,
    ProfileOption,
    RecalibrateOption,
    RunFolderOption,
    ScheduleOnlyOption,
    SetOption,
    VirtualClientsOption,
    print_json,
)
from pslgs.cli.printing import print_pairs
from pslgs.process.machine import DATASET_CACHE, available_cores
from pslgs.spec import load_job
from pslgs.spec.training import Baseline, SamplingStrategy

if TYPE_CHECKING:
    from rich.console import Console

    from pslgs.simulation.result import SimulationResult
    from pslgs.simulation.setup import Simulation

SCHEDULE_FILE: Final = "schedule.csv"


def simulate(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    clients: VirtualClientsOption = None,
    partition: PartitionOption = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Sampling strategy: {', '.join(SamplingStrategy)}, or a baseline: {', '.join(Baseline)}.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all random numbers; default: the manifest's.")
    ] = None,
    profile: ProfileOption = None,
    schedule_only: ScheduleOnlyOption = False,  # noqa: FBT002
    recalibrate: RecalibrateOption = 0,
    output: RunFolderOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Simulate a job with up to thousands of virtual clients in one process."""
    # Server and clients take turns on the same cores, so waiting threads must not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from rich.console import Console

    from pslgs.launch.data_notes import limited, site_notes
    from pslgs.launch.local_clients import local_clients, local_sites
    from pslgs.sampling.partition import share_names
    from pslgs.sampling.registry import strategy_named
    from pslgs.simulation.job_variants import job_variant
    from pslgs.simulation.setup import Simulation, SimulationOptions, parse_mix
    from pslgs.simulation.summary import summary, words

    manifest = load_job(job, overrides or ())
    chosen = strategy_named(strategy or manifest.spec.sampling.strategy, "--strategy")
    own_data = manifest.spec.data.train.is_per_client
    variant = job_variant(
        manifest, strategy=chosen, clients=None if own_data else clients, skew=partition, seed=seed
    )
    names = [each.client_id for each in local_clients(variant.spec, clients if own_data else None)]
    options = SimulationOptions(
        profile=parse_mix(profile) if profile is not None else None,
        schedule_only=schedule_only,
        client_ids=names if own_data else None,
        cache=cache,
        recalibration_batches=recalibrate,
        device=device,
    )
    console = Console(highlight=False, stderr=output_format is OutputFormat.JSON)
    for line in limited([*site_notes(local_sites(variant.spec))]):
        console.print(line, soft_wrap=True, markup=False)
    run = _draw_schedule if schedule_only else _train
    result = run(
        console, Simulation(variant, chosen, options), output, share_names(1) if chosen.pools_data else names
    )
    figures = summary(result)
    if output_format is OutputFormat.JSON:
        print_json(figures)
    else:
        print_pairs(words(figures), 16, console)
    raise typer.Exit(result.exit_code)


def _draw_schedule(
    console: "Console", simulation: "Simulation", output: Path | None, clients: Sequence[str]
) -> "SimulationResult":
    """Draw the schedule; write a table of its steps if there is an output folder."""
    from pslgs.reporting.formatting import count
    from pslgs.simulation.api import run_simulation
    from pslgs.simulation.summary import write_table

    with console.status(f"Drawing the batches of {count(len(clients), 'client')}"):
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
    from pslgs.launch.simulate_job import simulate_in_folder
    from pslgs.reporting.formatting import count
    from pslgs.reporting.page import write_report_of_ended_run
    from pslgs.training.torch_thread import configure_torch

    configure_torch(available_cores())
    folder = choose_folder(f"{simulation.job.metadata.name}-simulated", output, resume=False)
    console.print(f"{count(len(clients), 'virtual client')}; run folder {folder}", soft_wrap=True)
    with ProgressView(console) as view:
        result = simulate_in_folder(simulation, folder, clients, view)
    if problem := write_report_of_ended_run(folder):
        typer.echo(problem, err=True)
    return result
