"""Everything that can be known to be wrong before a process is started."""

from collections.abc import Sequence
from pathlib import Path

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import EVALUATION, TRAINING, open_all_training_data, open_evaluation_data
from pslgs.launch.sites import Site
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.server.run_checkpoint import CHECKPOINTS, check_resumable
from pslgs.spec import EvaluationPlace, InputError, JobSpec
from pslgs.training.checkpoint import CheckpointError, CheckpointStore
from pslgs.training.dataset_check import check_dataset
from pslgs.training.device import choose_device
from pslgs.training.setup import build_setup


def preflight(spec: JobSpec, clients: Sequence[Site], cache: Path, device: str = "auto") -> None:
    """Check the device, open all data, build and cut the model, and try the one on the other.

    Raises:
        InputError: with the first thing that is wrong.
    """
    choose_device(device)
    names = [site.client_id for site in clients]
    held = open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=cache)
    pooled = sum(data.samples for data in held)
    too_large = batch_size_violation(spec.sampling.global_batch_size, pooled)
    if too_large is not None:
        raise InputError(too_large)
    task, _ = build_setup(spec, spec.model.input_shape or held[0].input_shape)
    for data in held:
        check_dataset(task, data, TRAINING)
    for data in _evaluation_data(spec, clients, cache):
        check_dataset(task, data, EVALUATION)


def check_resume(folder: Path, spec: JobSpec) -> None:
    """Check that a job may go on with the run in a folder; a run without a checkpoint takes any.

    Raises:
        InputError: the job defines another training than the run's, or has fewer epochs than were trained, or
            the checkpoints cannot be read.
    """
    store = CheckpointStore(folder / CHECKPOINTS, spec.checkpoint.keep)
    try:
        latest = store.latest_state()
    except CheckpointError as error:
        raise InputError.at("--resume", str(error)) from error
    if latest is not None:
        check_resumable(*latest, spec)


def _evaluation_data(spec: JobSpec, clients: Sequence[Site], cache: Path) -> list[ClientDataset]:
    evaluation = spec.data.evaluation
    if evaluation is None:
        return []
    if evaluation.at is EvaluationPlace.SERVER:
        return [open_evaluation_data(spec.data, cache=cache)]
    return [
        open_evaluation_data(
            spec.data,
            client_id=site.client_id,
            partition_index=site.share,
            seed=spec.sampling.seed,
            cache=cache,
        )
        for site in clients
    ]
