"""``pslgs compare``: simulate a job with several strategies and compare them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.options import DeviceOption, FormatOption, JobArgument, OutputFormat, SetOption, print_json
from pslgs.cli.simulate import RecalibrateOption
from pslgs.process.machine import DATASET_CACHE
from pslgs.simulation.job_variants import PAPER_STRATEGIES, Skew
from pslgs.spec import load_job
from pslgs.spec.training import Baseline, SamplingStrategy

_RUNS = Path("runs")


def compare(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    strategies: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"Of {', '.join((*SamplingStrategy, *Baseline))}.")
    ] = ",".join(PAPER_STRATEGIES),
    seeds: Annotated[
        int,
        typer.Option(
            min=1, help="Number of simulations of each strategy, with seeds counted from the job's own."
        ),
    ] = 3,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of virtual clients.")] = None,
    partition: Annotated[
        Skew | None, typer.Option(help="How unequal the clients are: two classes per client, five, or IID.")
    ] = None,
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
    target_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Accuracy whose first time is reported; 95 % of the best strategy's if not given.",
        ),
    ] = None,
    recalibrate: RecalibrateOption = 0,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Simulations at a time; without it, one on each core, on a GPU one."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Number of cores of each simulation.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the comparison, also of one to go on with; without it, one under runs/."
        ),
    ] = None,
    device: DeviceOption = "auto",
    cache: Annotated[Path, typer.Option(help="Folder for converted datasets.")] = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Simulate a job with several strategies and seeds, and report what skew costs and allocation brings."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from rich.console import Console

    from pslgs.comparison import api as comparing
    from pslgs.comparison.report import REPORT, comparison_document
    from pslgs.comparison.tables import show
    from pslgs.launch.compare_progress import ComparisonView
    from pslgs.launch.sites import sites

    manifest = load_job(job, overrides or ())
    own_data = manifest.spec.data.train.is_per_client
    folder = output or _RUNS / f"{manifest.metadata.name}-compared"
    console = Console(highlight=False, stderr=output_format is OutputFormat.JSON)
    with ComparisonView(console, folder) as view:
        comparison = comparing.compare(
            manifest,
            strategies=[name.strip() for name in strategies.split(",")],
            seeds=seeds,
            clients=None if own_data else clients,
            partition=partition,
            profile=profile,
            schedule_only=schedule_only,
            target_accuracy=target_accuracy,
            recalibration_batches=recalibrate,
            client_ids=[site.client_id for site in sites(manifest.spec, clients)] if own_data else None,
            cache=cache.expanduser(),
            threads=threads,
            device=device,
            folder=folder,
            jobs=jobs or comparing.trials_at_a_time(device, threads),
            watcher=view,
        )
    if output_format is OutputFormat.JSON:
        print_json(comparison_document(comparison))
        return
    show(comparison, console)
    console.print(f"  {folder / REPORT}", soft_wrap=True)
