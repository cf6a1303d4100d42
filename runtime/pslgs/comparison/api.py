"""`compare`: simulate a job with several strategies and seeds, continuing what a folder has."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pslgs.comparison.chosen_metric import target_of
from pslgs.comparison.pool import NOBODY, TrialPool, TrialRunner, Watcher, run_trials
from pslgs.comparison.process_pool import process_pool
from pslgs.comparison.report import write_files
from pslgs.comparison.store import TrialStore, all_of, fingerprint
from pslgs.comparison.summary import Comparison
from pslgs.comparison.trial import ComparisonOptions, trials_of
from pslgs.process.machine import DATASET_CACHE, available_cores
from pslgs.sampling.registry import strategy_named
from pslgs.simulation.api import choice
from pslgs.simulation.job_variants import PAPER_STRATEGIES, Skew, job_variant
from pslgs.simulation.setup import Mix, SimulationOptions, Threads, parse_mix
from pslgs.spec.errors import InputError
from pslgs.spec.job import SplitTrainingJob
from pslgs.training.device import choose_device

if TYPE_CHECKING:
    from pslgs.comparison.dask_cluster import DaskCluster


def compare(  # noqa: PLR0913 - what a notebook or the command line may want to change
    job: SplitTrainingJob,
    *,
    strategies: Sequence[str] = PAPER_STRATEGIES,
    seeds: int | Sequence[int] = 3,
    clients: int | None = None,
    partition: str | None = None,
    profile: str | Mix | None = None,
    schedule_only: bool = False,
    target: float | None = None,
    target_accuracy: float | None = None,
    recalibration_batches: int = 0,
    client_ids: Sequence[str] | None = None,
    cache: Path = DATASET_CACHE,
    threads: int = 1,
    device: str = "auto",
    folder: Path | str | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    watcher: Watcher = NOBODY,
) -> Comparison:
    """Simulate a job with several strategies and seeds.

    Args:
        job: The manifest.
        strategies: Names of sampling strategies, the manifest's and baselines.
        seeds: The seeds, or their number, counted from the job's own.
        clients: K, number of clients among which the common dataset is partitioned; None for the job's own.
        partition: Name of a `Skew`: severe, mild or iid; None for the job's own.
        profile: Links and machines of the clients: lan, wifi, lte, satellite, or a mix such as
            ``lan:0.8,lte:0.2``.
        schedule_only: Whether to draw the batches without training.
        target: Value of the job's metric whose first time is looked for; None for one that is by 5 % worse
            than the best strategy's.
        target_accuracy: The same of a job whose metric is Accuracy.
        recalibration_batches: See `SimulationOptions`.
        client_ids: Names of the clients; None if the job has a partition.
        cache: Folder for converted datasets.
        threads: Number of cores of each simulation, on which the last bits of results depend.
        device: Device of all simulations; see `SimulationOptions`.
        folder: Folder that keeps finished simulations, so that they are not repeated, and to which table and
            report are written; None to keep nothing.
        jobs: Number of simulations at a time.  More than one run in processes of their own, so that the main
            module of a script needs the guard that `multiprocessing` requires.
        scheduler: Address of the scheduler of a Dask cluster whose workers compute the simulations, such as
            ``tcp://host:8786``; None for this machine.  ``device``, ``cache`` and the paths of data are then
            those of the workers, and ``jobs`` does not apply.
        watcher: Follows the progress.

    Raises:
        InputError: the job, its data or one of the arguments cannot be used.
        ComparisonError: the process of a simulation was lost, for instance because memory ran out.
        OSError: the folder cannot be written.
    """
    if scheduler is not None and jobs != 1:
        raise InputError.at(
            "--jobs", "does not apply with --scheduler, whose workers compute one simulation each; remove it"
        )
    skew = choice(Skew, partition, "partition") if partition else None
    first = job.spec.sampling.seed
    options = ComparisonOptions(
        strategies=[strategy_named(name, "strategies").name for name in strategies],
        seeds=range(first, first + seeds) if isinstance(seeds, int) else seeds,
        target=target_of(job.spec, target, target_accuracy),
        simulation=SimulationOptions(
            profile=parse_mix(profile) if isinstance(profile, str) else profile,
            schedule_only=schedule_only,
            client_ids=client_ids,
            cache=cache,
            threads=Threads(threads, threads),
            recalibration_batches=recalibration_batches,
            device=device,
        ),
    )
    varied = job_variant(job, clients=clients, skew=skew)
    with ExitStack() as stack:
        cluster = stack.enter_context(dask_cluster(scheduler)) if scheduler is not None else None
        kept = Path(folder or stack.enter_context(TemporaryDirectory()))
        comparison = _computed(varied, _on_one_device(options, cluster), kept, cluster, jobs, watcher)
    if folder is not None:
        write_files(comparison, Path(folder))
    return comparison


def trials_at_a_time(device: str, threads: int) -> int:
    """Return how many simulations run at a time if nothing is said: one on each core, but one on a GPU.

    Raises:
        InputError: there is no such device.
    """
    if choose_device(device).type != "cpu":
        return 1  # several would share the memory of the GPU
    return max(1, available_cores() // threads)


def dask_cluster(scheduler: str) -> "AbstractContextManager[DaskCluster]":
    """Return a context manager that connects to a Dask cluster; see `pslgs.comparison.dask_cluster`.

    Raises:
        InputError: the extra ``dask`` is not installed.
    """
    try:
        from pslgs.comparison.dask_cluster import connected  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"dask", "distributed"}:
            raise
        raise InputError.at(
            "--scheduler", "needs the package distributed; install it with: pip install 'pslgs[dask]'"
        ) from error
    return connected(scheduler)


def _on_one_device(options: ComparisonOptions, cluster: "DaskCluster | None") -> ComparisonOptions:
    """Decide once for all trials which device ``auto`` is, at a worker if workers compute them."""
    name = options.simulation.device
    if cluster is not None:
        name = cluster.ask(_device_named, name)
    elif name == "auto":
        name = _device_named(name)
    return replace(options, simulation=replace(options.simulation, device=name))


def _device_named(name: str) -> str:
    device = choose_device(name)
    return device.type if name == "auto" else name


def _computed(  # noqa: PLR0913, PLR0917 - what is compared, and where
    job: SplitTrainingJob,
    options: ComparisonOptions,
    folder: Path,
    cluster: "DaskCluster | None",
    jobs: int,
    watcher: Watcher,
) -> Comparison:
    """Compute the trials whose results the folder does not have."""
    trials = trials_of(options)
    store = TrialStore(folder, fingerprint(job, options))
    with store.prepared():
        finished = [trial for trial in trials if store.load(trial) is not None]
        watcher.begin(trials, finished)
        missing = [trial for trial in trials if trial not in finished]
        with _pool(cluster, min(jobs, len(missing))) as pool:
            run_trials(TrialRunner(job, options), store, missing, pool, watcher)
    results = all_of(store, trials)
    return Comparison(
        job,
        options,
        tuple(each for each in results if each.trial.delay_weight is None),
        tuple(each for each in results if each.trial.delay_weight is not None),
        store.measured(),
    )


def _pool(cluster: "DaskCluster | None", jobs: int) -> AbstractContextManager[TrialPool | None]:
    """Return where trials are computed; None for this process."""
    if cluster is not None:
        return nullcontext(cluster)
    return process_pool(jobs) if jobs > 1 else nullcontext()
