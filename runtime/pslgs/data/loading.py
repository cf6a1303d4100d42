"""Opening of the datasets that the manifest describes, for one client, all clients or the server."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pslgs.data.arrays import open_numpy
from pslgs.data.client_dataset import ClientDataset, DatasetOwner
from pslgs.data.decoding import ValueRange
from pslgs.data.images import open_image_folder
from pslgs.data.map_dataset import open_custom
from pslgs.data.parquet import open_parquet
from pslgs.data.source import Source
from pslgs.data.transforms import evaluation_pipeline, training_pipeline
from pslgs.sampling.partition import partition, partition_iid
from pslgs.sampling.randomness import Purpose, generator
from pslgs.spec.data import CLIENT_PLACEHOLDER, DataFormat, DataSource, DataSpec
from pslgs.spec.errors import InputError


def open_source(source: DataSource, field: str, cache: Path, value_range: ValueRange | None = None) -> Source:
    """Open a dataset; its samples are decoded on access.

    Args:
        source: The dataset as in the manifest, with ``{client}`` already replaced.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
        cache: Folder for converted files.
        value_range: Values of grey images of more than 8 bits that become 0 and 1.

    Raises:
        InputError: the dataset is missing, empty or damaged, or its files are not as its format requires.
    """
    match source.format:
        case DataFormat.PARQUET:
            return open_parquet(source, field, cache, value_range)
        case DataFormat.IMAGE_FOLDER:
            return open_image_folder(source, field, value_range)
        case DataFormat.NUMPY:
            return open_numpy(source, field)
        case DataFormat.TORCHVISION:
            from pslgs.data.torchvision_datasets import open_torchvision  # noqa: PLC0415 - 4 s and 90 MB

            return open_torchvision(source, field)
        case DataFormat.SCIKIT_LEARN:
            from pslgs.data.scikit_learn import open_scikit_learn  # noqa: PLC0415 - 2 s and 50 MB

            return open_scikit_learn(source, field)
        case DataFormat.CUSTOM:
            return open_custom(source, field, value_range)


def can_decode_in_threads(data: DataSpec) -> bool:
    """Return whether several threads may decode samples of a job at the same time.

    The code of a Custom dataset may not be thread-safe: for example, it may seek in an open file, or hold a
    connection that only the opening thread may use.
    """
    sources = (data.train, data.evaluation)
    return all(source is None or source.format is not DataFormat.CUSTOM for source in sources)


def for_client(source: DataSource, client_id: str) -> DataSource:
    """Return the data source with ``{client}`` in its path and options replaced by the client's id."""
    path = source.path and source.path.replace(CLIENT_PLACEHOLDER, client_id)
    options = {
        key: value.replace(CLIENT_PLACEHOLDER, client_id) if isinstance(value, str) else value
        for key, value in source.options.items()
    }
    return source.model_copy(update={"path": path, "options": options})


TRAINING = "spec.data.train"
EVALUATION = "spec.data.evaluation"


def open_training_data(
    data: DataSpec, *, client_id: str, partition_index: int | None, seed: int, cache: Path
) -> ClientDataset:
    """Open the training samples of a client: its part of the partition, or all of its data.

    Args:
        data: Section ``spec.data`` of the manifest.
        client_id: Id of the client; it replaces ``{client}`` in paths and determines order and augmentation.
        partition_index: Number of the client's part of the partition, from 0; None without a partition.
        seed: Seed of the job, from which all clients derive the same partition.
        cache: Folder for converted files, which clients on one machine should share.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
    """
    source = open_source(for_client(data.train, client_id), TRAINING, cache, data.value_range)
    pipeline = training_pipeline(data)
    index = _all_of(source)
    if data.partition is not None:
        shares = partition(data.partition, source.labels, generator(seed, Purpose.PARTITION))
        index = shares[_checked_index(client_id, partition_index, data)]
    return ClientDataset(source, index, pipeline, DatasetOwner(client_id, seed, TRAINING))


def open_all_training_data(
    data: DataSpec, client_ids: Sequence[str], *, seed: int, cache: Path
) -> list[ClientDataset]:
    """Open the training samples of all clients; with a partition, they share one source.

    The datasets equal those of `open_training_data` with the position in ``client_ids`` as
    ``partition_index``.

    Args:
        data: Section ``spec.data`` of the manifest.
        client_ids: Ids of the clients.
        seed: Seed of the job.
        cache: Folder for converted files.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
    """
    if data.partition is None:
        return [
            open_training_data(data, client_id=name, partition_index=None, seed=seed, cache=cache)
            for name in client_ids
        ]
    source = open_source(data.train, TRAINING, cache, data.value_range)
    pipeline = training_pipeline(data)
    shares = partition(data.partition, source.labels, generator(seed, Purpose.PARTITION))
    return [
        ClientDataset(
            source, shares[_checked_index(name, i, data)], pipeline, DatasetOwner(name, seed, TRAINING)
        )
        for i, name in enumerate(client_ids)
    ]


def open_evaluation_data(
    data: DataSpec,
    *,
    client_id: str | None = None,
    partition_index: int | None = None,
    seed: int = 0,
    cache: Path,
) -> ClientDataset:
    """Open the evaluation samples of the server or of a client.

    With a partition, one evaluation dataset is divided among the clients at random and in equal parts.

    Args:
        data: Section ``spec.data`` of the manifest, with an evaluation.
        client_id: Id of the client; None for the server, which reads all samples.
        partition_index: Number of the client's part of the partition, from 0; None without a partition.
        seed: Seed of the job, from which the partition is derived.
        cache: Folder for converted files.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
        ValueError: the manifest has no evaluation.
    """
    if data.evaluation is None:
        raise ValueError("the manifest has no spec.data.evaluation")
    name = client_id or ""
    source = open_source(for_client(data.evaluation, name), EVALUATION, cache, data.value_range)
    pipeline = evaluation_pipeline(data)
    index = _all_of(source)
    if client_id is not None and data.partition is not None and not data.evaluation.is_per_client:
        shares = partition_iid(len(source), data.partition.clients, generator(seed, Purpose.PARTITION, 1))
        index = shares[_checked_index(client_id, partition_index, data)]
    return ClientDataset(source, index, pipeline, DatasetOwner(name, seed, EVALUATION))


def open_all_evaluation_data(
    data: DataSpec, client_ids: Sequence[str], *, seed: int, cache: Path
) -> list[ClientDataset]:
    """Open the evaluation samples of all clients; with a partition, they share one source.

    The datasets equal those of `open_evaluation_data` with the position in ``client_ids`` as
    ``partition_index``.

    Args:
        data: Section ``spec.data`` of the manifest, with an evaluation.
        client_ids: Ids of the clients.
        seed: Seed of the job.
        cache: Folder for converted files.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
        ValueError: the manifest has no evaluation.
    """
    if data.evaluation is None or data.partition is None or data.evaluation.is_per_client:
        return [
            open_evaluation_data(data, client_id=name, partition_index=i, seed=seed, cache=cache)
            for i, name in enumerate(client_ids)
        ]
    source = open_source(data.evaluation, EVALUATION, cache, data.value_range)
    pipeline = evaluation_pipeline(data)
    shares = partition_iid(len(source), data.partition.clients, generator(seed, Purpose.PARTITION, 1))
    return [
        ClientDataset(
            source, shares[_checked_index(name, i, data)], pipeline, DatasetOwner(name, seed, EVALUATION)
        )
        for i, name in enumerate(client_ids)
    ]


def _all_of(source: Source) -> NDArray[np.int64]:
    return np.arange(len(source), dtype=np.int64)


def _checked_index(client_id: str, partition_index: int | None, data: DataSpec) -> int:
    clients = data.partition.clients if data.partition else 0
    if partition_index is None:
        raise InputError.at(
            "spec.data.partition", f"has a part for each client, but '{client_id}' was given no number"
        )
    if not 0 <= partition_index < clients:
        raise InputError.at(
            "spec.data.partition.clients",
            f"is {clients}, so '{client_id}', number {partition_index} from 0, has no part; increase it",
        )
    return partition_index
