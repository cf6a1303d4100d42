"""Checks that find errors in a job before its processes are started."""

from collections.abc import Sequence
from pathlib import Path

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import EVALUATION, TRAINING, open_all_training_data, open_evaluation_data
from pslgs.launch.local_clients import LocalClient
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.server.run_checkpoint import CHECKPOINTS, check_resumable
from pslgs.spec import EvaluationPlace, InputError, JobSpec
from pslgs.training.checkpoint import CheckpointError, CheckpointStore
from pslgs.training.dataset_check import check_dataset
from pslgs.training.device import choose_device
from pslgs.training.setup import build_setup


def preflight(spec: JobSpec, clients: Sequence[LocalClient], cache: Path, device: str = "auto") -> None:
    """Check the device, open all data, build and split the network, and check that each dataset fits it.

    Raises:
        InputError: a check failed; the error is that of the first one.
    """
    choose_device(device)
    names = [client.client_id for client in clients]
    training = open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=cache)
    violation = batch_size_violation(spec.sampling.global_batch_size, sum(data.samples for data in training))
    if violation is not None:
        raise InputError(violation)
    setup, _ = build_setup(spec, spec.model.input_shape or training[0].input_shape)
    for data in training:
        check_dataset(setup, data, TRAINING)
    for data in _evaluation_data(spec, clients, cache):
        check_dataset(setup, data, EVALUATION)


def check_resume(folder: Path, spec: JobSpec) -> None:
    """Check that a job may resume the run in a folder; a run without a checkpoint accepts any job.

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


def _evaluation_data(spec: JobSpec, clients: Sequence[LocalClient], cache: Path) -> list[ClientDataset]:
    evaluation = spec.data.evaluation
    if evaluation is None:
        return []
    if evaluation.at is EvaluationPlace.SERVER:
        return [open_evaluation_data(spec.data, cache=cache)]
    return [
        open_evaluation_data(
            spec.data,
            client_id=client.client_id,
            partition_index=client.partition_index,
            seed=spec.sampling.seed,
            cache=cache,
        )
        for client in clients
    ]
