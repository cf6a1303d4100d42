"""Checks that find errors in a job before its processes are started."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.label_space import ClassNames
from pslgs.data.left_out import LeftOut
from pslgs.data.loading import EVALUATION, TRAINING, open_all_training_data, open_evaluation_data
from pslgs.data.sample_check import Checking, QuietWatcher
from pslgs.launch.local_clients import LocalClient
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.server.run_checkpoint import check_resumable
from pslgs.spec import EvaluationPlace, InputError, JobSpec
from pslgs.spec.result_files import CHECKPOINTS
from pslgs.splitting.initial_weights import load_initial_weights
from pslgs.training.checkpoint import CheckpointError, CheckpointStore
from pslgs.training.dataset_check import check_dataset
from pslgs.training.device import choose_device
from pslgs.training.objective import check_custom_loss
from pslgs.training.setup import build_setup

_UP_TO_FIRST: Final = Checking(watcher=QuietWatcher, up_to_first=True)
"""The clients themselves check all of their samples."""


def preflight(
    spec: JobSpec,
    clients: Sequence[LocalClient],
    cache: Path,
    device: str = "auto",
    *,
    resumed: bool = False,
) -> dict[str, tuple[LeftOut, ...]]:
    """Check the device, open all data, build and split the network, and check that each dataset fits it.

    Args:
        spec: The job.
        clients: Its clients.
        cache: Folder for converted datasets.
        device: Name of the server's device.
        resumed: Whether training goes on from a checkpoint, which makes initial weights unnecessary.

    Returns:
        Client -> files that are left out of its data; the server is ''.

    Raises:
        InputError: a check failed; the error is that of the first one.
    """
    choose_device(device)
    names = [client.client_id for client in clients]
    training = open_all_training_data(
        spec.data, names, seed=spec.sampling.seed, cache=cache, checking=_UP_TO_FIRST
    )
    violation = batch_size_violation(spec.sampling.global_batch_size, sum(data.samples for data in training))
    if violation is not None:
        raise InputError(violation)
    setup, network = build_setup(spec, training[0].input_shape)
    if spec.model.initial_weights is not None and not resumed:
        load_initial_weights(network, spec.model.initial_weights)
    check_custom_loss(setup.objective, setup.layout.dtype)
    for data in training:
        check_dataset(setup, data, TRAINING)
    classes = training[0].class_names or ()
    left_out = {name: data.left_out for name, data in zip(names, training, strict=True)}
    for name, data in _evaluation_data(spec, clients, cache, classes).items():
        check_dataset(setup, data, EVALUATION)
        left_out[name] = left_out.get(name, ()) + data.left_out
    return left_out


def check_resume(folder: Path, spec: JobSpec) -> bool:
    """Check that a job may resume the run in a folder; a run without a checkpoint accepts any job.

    Returns:
        Whether there is a checkpoint.

    Raises:
        InputError: the job defines another training than the run's, or has fewer epochs than were trained, or
            the checkpoints cannot be read.
    """
    store = CheckpointStore(folder / CHECKPOINTS, spec.checkpoint.keep)
    try:
        latest = store.latest_state()
    except CheckpointError as error:
        raise InputError.at("--resume", str(error)) from error
    if latest is None:
        return False
    check_resumable(*latest, spec)
    return True


def _evaluation_data(
    spec: JobSpec, clients: Sequence[LocalClient], cache: Path, class_names: ClassNames
) -> dict[str, ClientDataset]:
    """Open the evaluation data of each client, or of the server, which is ''."""
    evaluation = spec.data.evaluation
    if evaluation is None:
        return {}
    if evaluation.at is EvaluationPlace.SERVER:
        servers = open_evaluation_data(spec.data, cache=cache, class_names=class_names, checking=_UP_TO_FIRST)
        return {"": servers}
    return {
        client.client_id: open_evaluation_data(
            spec.data,
            client_id=client.client_id,
            partition_index=client.partition_index,
            seed=spec.sampling.seed,
            cache=cache,
            class_names=class_names,
            checking=_UP_TO_FIRST,
        )
        for client in clients
    }
