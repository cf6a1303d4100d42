"""Opening of the datasets that the manifest describes, for one client, all clients or the server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pslgs.data.arrays import open_numpy
from pslgs.data.client_dataset import ClientDataset, DatasetOwner
from pslgs.data.client_paths import is_path, path_of_client
from pslgs.data.images import open_image_folder
from pslgs.data.label_space import ClassNames, common_names, in_label_space, unnamed_training_classes
from pslgs.data.map_dataset import open_custom
from pslgs.data.sample_check import DEFAULT_CHECKING, Checking, without_damaged
from pslgs.data.samples import DEFAULT_FORM, SampleForm
from pslgs.data.source import Source
from pslgs.data.transforms import SamplePipeline, evaluation_pipeline, training_pipeline
from pslgs.sampling.partition import partition, partition_iid
from pslgs.sampling.randomness import Purpose, generator
from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER
from pslgs.spec.data import DataFormat, DataSource, DataSpec, OnDamagedSample
from pslgs.spec.errors import InputError


def open_source(  # noqa: PLR0911 - one for each format
    source: DataSource, field: str, cache: Path, form: SampleForm = DEFAULT_FORM
) -> Source:
    """Open a dataset; its samples are decoded on access.

    Args:
        source: The dataset as in the manifest, with ``{client}`` already replaced.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
        cache: Folder for converted files.
        form: What the manifest says of the samples.

    Raises:
        InputError: the dataset is missing, empty or damaged, or its files are not as its format requires.
    """
    match source.format:
        case DataFormat.PARQUET:
            from pslgs.data.parquet import open_parquet  # noqa: PLC0415 - 0.2 s and 40 MB

            return open_parquet(source, field, cache, form)
        case DataFormat.CSV:
            from pslgs.data.csv_files import open_csv  # noqa: PLC0415 - as above

            return open_csv(source, field, cache, form)
        case DataFormat.IMAGE_FOLDER:
            return open_image_folder(source, field, form.value_range)
        case DataFormat.NUMPY:
            return open_numpy(source, field, form)
        case DataFormat.TORCHVISION:
            from pslgs.data.torchvision_datasets import open_torchvision  # noqa: PLC0415 - 4 s and 90 MB

            return open_torchvision(source, field)
        case DataFormat.SCIKIT_LEARN:
            from pslgs.data.scikit_learn import open_scikit_learn  # noqa: PLC0415 - 2 s and 50 MB

            return open_scikit_learn(source, field)
        case DataFormat.CUSTOM:
            return open_custom(source, field, form)


def can_decode_in_threads(data: DataSpec) -> bool:
    """Return whether several threads may decode samples of a job at the same time.

    The code of a Custom dataset may not be thread-safe: for example, it may seek in an open file, or hold a
    connection that only the opening thread may use.
    """
    sources = (data.train, data.evaluation)
    return all(source is None or source.format is not DataFormat.CUSTOM for source in sources)


def for_client(source: DataSource, client_id: str) -> DataSource:
    """Return the data source with ``{client}`` in its path and options replaced by the client's id.

    In a path, it is replaced by the name of a file or folder that stands for the id, if there is none of the
    id itself; see `pslgs.data.client_paths`.  Run, simulation, comparison and the clients of a cluster all
    open their data through this function.
    """
    path = source.path and path_of_client(source.path, client_id)
    options = {key: _replaced(value, client_id) for key, value in source.options.items()}
    return source.model_copy(update={"path": path, "options": options})


def _replaced(value: object, client_id: str) -> object:
    match value:
        case str():
            if is_path(value):
                return path_of_client(value, client_id)
            return value.replace(CLIENT_PLACEHOLDER, client_id)
        case Mapping():
            return {key: _replaced(each, client_id) for key, each in value.items()}
        case list() | tuple():
            return type(value)(_replaced(each, client_id) for each in value)
        case _:
            return value


TRAINING = "spec.data.train"
EVALUATION = "spec.data.evaluation"


def open_training_data(  # noqa: PLR0913 - which data, of whom, read how
    data: DataSpec,
    *,
    client_id: str,
    partition_index: int | None,
    seed: int,
    cache: Path,
    checking: Checking = DEFAULT_CHECKING,
) -> ClientDataset:
    """Open the training samples of a client: its part of the partition, or all of its data.

    Args:
        data: Section ``spec.data`` of the manifest.
        client_id: Id of the client; it replaces ``{client}`` in paths and determines order and augmentation.
        partition_index: Number of the client's part of the partition, from 0; None without a partition.
        seed: Seed of the job, from which all clients derive the same partition.
        cache: Folder for converted files, which clients on one machine should share.
        checking: How samples are checked, if damaged ones are skipped.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
    """
    own = for_client(data.train, client_id)
    source = _open_training_source(data, own, cache)
    pipeline = training_pipeline(data)
    index = _all_of(source)
    if data.partition is not None:
        shares = partition(data.partition, source.labels, generator(seed, Purpose.PARTITION))
        index = shares[_checked_index(client_id, partition_index, data)]
    owner = DatasetOwner(client_id, seed, TRAINING, _place(own))
    return _dataset(source, index, pipeline, owner, data, checking, partition_index)


def open_all_training_data(
    data: DataSpec,
    client_ids: Sequence[str],
    *,
    seed: int,
    cache: Path,
    checking: Checking = DEFAULT_CHECKING,
) -> list[ClientDataset]:
    """Open the training samples of all clients; with a partition, they share one source.

    The datasets equal those of `open_training_data` with the position in ``client_ids`` as
    ``partition_index``.

    Args:
        data: Section ``spec.data`` of the manifest.
        client_ids: Ids of the clients.
        seed: Seed of the job.
        cache: Folder for converted files.
        checking: How samples are checked, if damaged ones are skipped.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
    """
    if data.partition is None:
        opened = [
            open_training_data(
                data, client_id=name, partition_index=None, seed=seed, cache=cache, checking=checking
            )
            for name in client_ids
        ]
        common_names(opened)
        return opened
    source = _open_training_source(data, data.train, cache)
    pipeline = training_pipeline(data)
    shares = partition(data.partition, source.labels, generator(seed, Purpose.PARTITION))
    return [
        _dataset(
            source,
            shares[_checked_index(name, i, data)],
            pipeline,
            DatasetOwner(name, seed, TRAINING, _place(data.train)),
            data,
            checking,
            i,
        )
        for i, name in enumerate(client_ids)
    ]


def open_evaluation_data(  # noqa: PLR0913 - which data, of whom, numbered how
    data: DataSpec,
    *,
    client_id: str | None = None,
    partition_index: int | None = None,
    seed: int = 0,
    cache: Path,
    class_names: ClassNames | None = None,
    checking: Checking = DEFAULT_CHECKING,
) -> ClientDataset:
    """Open the evaluation samples of the server or of a client.

    Classes are numbered by their names in the training data.  With a partition, one evaluation dataset is
    divided among the clients at random and in equal parts.

    Args:
        data: Section ``spec.data`` of the manifest, with an evaluation.
        client_id: Id of the client; None for the server, which reads all samples.
        partition_index: Number of the client's part of the partition, from 0; None without a partition.
        seed: Seed of the job, from which the partition is derived.
        cache: Folder for converted files.
        class_names: Names of the classes of the training data, unless the manifest has them; empty if these
            have none, and None if they are not known yet, see `ClientDataset.number_classes`.
        checking: How samples are checked, if damaged ones are skipped.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
        ValueError: the manifest has no evaluation.
    """
    if data.evaluation is None:
        raise ValueError("the manifest has no spec.data.evaluation")
    name = client_id or ""
    own = for_client(data.evaluation, name)
    source = _open_evaluation_source(data, own, cache, class_names)
    pipeline = evaluation_pipeline(data)
    index = _all_of(source)
    if client_id is not None and data.partition is not None and not data.evaluation.is_per_client:
        shares = partition_iid(len(source), data.partition.clients, generator(seed, Purpose.PARTITION, 1))
        index = shares[_checked_index(client_id, partition_index, data)]
    owner = DatasetOwner(name, seed, EVALUATION, _place(own))
    number = None if len(index) == len(source) else partition_index
    opened = _dataset(source, index, pipeline, owner, data, checking, number)
    opened.awaits_names = data.class_names is None and class_names is None and bool(source.class_names)
    opened.needs_names = opened.awaits_names and data.evaluation.format not in _NUMBERED_BY_PUBLISHERS
    return opened


def open_all_evaluation_data(  # noqa: PLR0913 - which data, of whom, read how
    data: DataSpec,
    client_ids: Sequence[str],
    *,
    seed: int,
    cache: Path,
    class_names: ClassNames | None = None,
    checking: Checking = DEFAULT_CHECKING,
) -> list[ClientDataset]:
    """Open the evaluation samples of all clients; with a partition, they share one source.

    The datasets equal those of `open_evaluation_data` with the position in ``client_ids`` as
    ``partition_index``.

    Args:
        data: Section ``spec.data`` of the manifest, with an evaluation.
        client_ids: Ids of the clients.
        seed: Seed of the job.
        cache: Folder for converted files.
        class_names: See `open_evaluation_data`.
        checking: How samples are checked, if damaged ones are skipped.

    Raises:
        InputError: the data are missing or damaged, or do not fit the manifest.
        ValueError: the manifest has no evaluation.
    """
    if data.evaluation is None or data.partition is None or data.evaluation.is_per_client:
        return [
            open_evaluation_data(
                data,
                client_id=name,
                partition_index=i,
                seed=seed,
                cache=cache,
                class_names=class_names,
                checking=checking,
            )
            for i, name in enumerate(client_ids)
        ]
    source = _open_evaluation_source(data, data.evaluation, cache, class_names)
    pipeline = evaluation_pipeline(data)
    shares = partition_iid(len(source), data.partition.clients, generator(seed, Purpose.PARTITION, 1))
    return [
        _dataset(
            source,
            shares[_checked_index(name, i, data)],
            pipeline,
            DatasetOwner(name, seed, EVALUATION, _place(data.evaluation)),
            data,
            checking,
            i,
        )
        for i, name in enumerate(client_ids)
    ]


_NUMBERED_BY_PUBLISHERS: Final = (DataFormat.TORCHVISION, DataFormat.SCIKIT_LEARN)
"""Formats whose class numbers are part of the dataset, so that training data may have numbers alone; others
take them from the order of names."""


def _open_training_source(data: DataSpec, source: DataSource, cache: Path) -> Source:
    opened = _open_named(data, source, TRAINING, cache)
    return in_label_space(opened, data.class_names, TRAINING, _place(source))


def _open_evaluation_source(
    data: DataSpec, source: DataSource, cache: Path, class_names: ClassNames | None
) -> Source:
    opened = _open_named(data, source, EVALUATION, cache)
    names = data.class_names or class_names
    named = opened.class_names and source.classes is None and source.format not in _NUMBERED_BY_PUBLISHERS
    if names == () and named:
        raise unnamed_training_classes()
    return in_label_space(opened, names or None, EVALUATION, _place(source))


def _open_named(data: DataSpec, source: DataSource, field: str, cache: Path) -> Source:
    """Open a source; its numeric labels without names are those of the job's classes."""
    if source.classes is None and data.class_names is not None:
        source = source.model_copy(update={"classes": data.class_names})
    return open_source(source, field, cache, SampleForm.of(data))


def _place(source: DataSource) -> str:
    return source.path or source.name or source.entrypoint or ""


def _dataset(  # noqa: PLR0913, PLR0917 - what a dataset is made of
    source: Source,
    index: NDArray[np.int64],
    pipeline: SamplePipeline,
    owner: DatasetOwner,
    data: DataSpec,
    checking: Checking,
    partition_index: int | None,
) -> ClientDataset:
    """Make the dataset of a client, without damaged samples if they are skipped.

    The files that a partitioned dataset leaves out are those of its first part.
    """
    left_out = () if partition_index else tuple(source.left_out)
    if data.on_damaged_sample is OnDamagedSample.SKIP:
        index, damaged = without_damaged(source, index, owner.field, checking)
        left_out += damaged
    opened = ClientDataset(source, index, pipeline, owner, left_out)
    opened.has_declared_classes = data.class_names is not None
    return opened


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
