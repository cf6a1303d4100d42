"""`compare`: simulate a job with several strategies and seeds, continuing what a folder has."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pslgs.comparison.chosen_metric import target_of
from pslgs.comparison.pool import NOBODY, TrialRunner, Watcher, run_trials
from pslgs.comparison.report import write_files
from pslgs.comparison.store import TrialStore, all_of, fingerprint
from pslgs.comparison.summary import Comparison
from pslgs.comparison.trial import ComparisonOptions, trials_of
from pslgs.process.machine import DATASET_CACHE, available_cores
from pslgs.sampling.registry import strategy_named
from pslgs.simulation.api import choice
from pslgs.simulation.job_variants import PAPER_STRATEGIES, Skew, job_variant
from pslgs.simulation.setup import Mix, SimulationOptions, Threads, parse_mix
from pslgs.spec.job import SplitTrainingJob
from pslgs.training.device import choose_device


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
        watcher: Follows the progress.

    Raises:
        InputError: the job, its data or one of the arguments cannot be used.
        OSError: the folder cannot be written.
    """
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
            device=choose_device(device).type if device == "auto" else device,
        ),
    )
    varied = job_variant(job, clients=clients, skew=skew)
    with TemporaryDirectory() as scratch:
        comparison = _computed(varied, options, Path(folder or scratch), jobs, watcher)
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


def _computed(
    job: SplitTrainingJob, options: ComparisonOptions, folder: Path, jobs: int, watcher: Watcher
) -> Comparison:
    """Compute the trials whose results the folder does not have."""
    trials = trials_of(options)
    store = TrialStore(folder, fingerprint(job, options))
    with store.prepared():
        finished = [trial for trial in trials if store.load(trial) is not None]
        watcher.begin(trials, finished)
        missing = [trial for trial in trials if trial not in finished]
        run_trials(TrialRunner(job, options, store), missing, jobs=jobs, watcher=watcher)
    results = all_of(store, trials)
    return Comparison(
        job,
        options,
        tuple(each for each in results if each.trial.delay_weight is None),
        tuple(each for each in results if each.trial.delay_weight is not None),
        store.measured(),
    )
