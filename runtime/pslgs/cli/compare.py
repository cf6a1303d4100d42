"""``pslgs compare``: simulate several sampling strategies on one job and compare them."""

import os
from collections.abc import Callable
from contextlib import suppress
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
    ScheduleOnlyOption,
    SetOption,
    VirtualClientsOption,
    print_json,
)
from pslgs.process.machine import DATASET_CACHE
from pslgs.simulation.job_variants import PAPER_STRATEGIES
from pslgs.spec import load_job
from pslgs.spec.training import Baseline, SamplingStrategy

if TYPE_CHECKING:
    from pslgs.comparison.summary import Comparison

StrategiesOption = Annotated[
    str,
    typer.Option(
        metavar="NAME,…", help=f"Strategies and baselines: {', '.join((*SamplingStrategy, *Baseline))}."
    ),
]
SeedsOption = Annotated[
    int,
    typer.Option(min=1, help="Number of simulations per strategy, with consecutive seeds from the job's on."),
]
TargetAccuracyOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="The same of a job whose metric is Accuracy.",
    ),
]
TargetOption = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE",
        help="Value of the job's metric for which to report when it is first reached; default: 5 % worse "
        "than the best strategy's.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Number of simulations at a time; default: one per core, or one on a GPU."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster whose workers compute the simulations, e.g. tcp://host:8786; data, "
        "device and cache are then theirs. Needs pslgs[dask].",
    ),
]
SimulationThreadsOption = Annotated[int, typer.Option(min=1, help="Number of cores per simulation.")]
ComparisonFolderOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the comparison; default: one under runs/, named after the job, with a number if "
        "others of the job have other settings. Simulations that the folder has already are not repeated."
    ),
]
_DEFAULT_STRATEGIES: Final = ",".join(PAPER_STRATEGIES)


def compare(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    strategies: StrategiesOption = _DEFAULT_STRATEGIES,
    seeds: SeedsOption = 3,
    clients: VirtualClientsOption = None,
    partition: PartitionOption = None,
    profile: ProfileOption = None,
    schedule_only: ScheduleOnlyOption = False,  # noqa: FBT002
    target: TargetOption = None,
    target_accuracy: TargetAccuracyOption = None,
    recalibrate: RecalibrateOption = 0,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    threads: SimulationThreadsOption = 1,
    output: ComparisonFolderOption = None,
    device: DeviceOption = "auto",
    cache: CacheOption = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Simulate a job with several strategies and seeds, and compare their metric, deviation and cost."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from rich.console import Console

    from pslgs.comparison import api as comparing
    from pslgs.comparison.report import REPORT, comparison_document
    from pslgs.comparison.tables import show
    from pslgs.launch.compare_progress import ComparisonView
    from pslgs.launch.data_notes import limited, site_notes
    from pslgs.launch.local_clients import local_clients, local_sites

    manifest = load_job(job, overrides or ())
    own_data = manifest.spec.data.train.is_per_client
    names = [each.client_id for each in local_clients(manifest.spec, clients)] if own_data else None
    console = Console(highlight=False, stderr=output_format is OutputFormat.JSON)
    for line in limited([*site_notes(local_sites(manifest.spec))]):
        console.print(line, soft_wrap=True, markup=False)

    def compare_in(folder: Path) -> "Comparison":
        with ComparisonView(console, folder) as view:
            return comparing.compare(
                manifest,
                strategies=[name.strip() for name in strategies.split(",")],
                seeds=seeds,
                clients=None if own_data else clients,
                partition=partition,
                profile=profile,
                schedule_only=schedule_only,
                target=target,
                target_accuracy=target_accuracy,
                recalibration_batches=recalibrate,
                client_ids=names,
                cache=cache,
                threads=threads,
                device=device,
                folder=folder,
                jobs=jobs or (1 if scheduler else comparing.trials_at_a_time(device, threads)),
                scheduler=scheduler,
                watcher=view,
            )

    if output is not None:
        folder, comparison = output, compare_in(output)
    else:
        folder, comparison = _in_own_folder(compare_in, f"{manifest.metadata.name}-compared")
    if output_format is OutputFormat.JSON:
        print_json(comparison_document(comparison))
        return
    show(comparison, console)
    console.print(f"  {folder / REPORT}", soft_wrap=True)


def _in_own_folder(compare_in: Callable[[Path], "Comparison"], name: str) -> tuple[Path, "Comparison"]:
    """Compare in the first folder of this name that holds nothing else: runs/NAME, runs/NAME-2 and so on."""
    from pslgs.comparison.store import FolderTakenError
    from pslgs.launch.run_folder import numbered_folders

    folders = numbered_folders(name)
    while True:
        folder = next(folders)
        with suppress(FolderTakenError):
            return folder, compare_in(folder)
