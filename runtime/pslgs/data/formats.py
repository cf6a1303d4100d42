"""Opening of datasets by their format."""

from pathlib import Path

from pslgs.data.arrays import open_numpy
from pslgs.data.custom import open_custom
from pslgs.data.image_folder import open_image_folder
from pslgs.data.parquet import open_parquet
from pslgs.data.source import Source
from pslgs.spec.data import DataSpec
from pslgs.spec.source import CLIENT_PLACEHOLDER, DataFormat, DataSource


def open_source(source: DataSource, field: str, cache: Path) -> Source:
    """Open a dataset; its samples are decoded on access.

    Args:
        source: The dataset as in the manifest, with ``{client}`` already replaced.
        field: Path of the data source in the manifest (``spec.data.train``), for error messages.
        cache: Folder for converted files.

    Raises:
        InputError: the dataset is missing, empty or damaged, or its files are not as its format requires.
    """
    match source.format:
        case DataFormat.PARQUET:
            return open_parquet(source, field, cache)
        case DataFormat.IMAGE_FOLDER:
            return open_image_folder(source, field)
        case DataFormat.NUMPY:
            return open_numpy(source, field)
        case DataFormat.TORCHVISION:
            from pslgs.data.torchvision_datasets import open_torchvision  # noqa: PLC0415 - 4 s and 90 MB

            return open_torchvision(source, field)
        case DataFormat.SCIKIT_LEARN:
            from pslgs.data.scikit_learn import open_scikit_learn  # noqa: PLC0415 - 2 s and 50 MB

            return open_scikit_learn(source, field)
        case DataFormat.CUSTOM:
            return open_custom(source, field)


def can_decode_in_threads(data: DataSpec) -> bool:
    """Tell whether several threads may decode a job's samples at a time.

    A Custom dataset is the user's own code, which need not be prepared for that: it may seek in a file that
    it keeps open, or hold a connection that only the thread that opened it may use.
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
