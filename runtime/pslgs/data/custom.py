"""Datasets that a user's function returns."""

from pslgs.data.pairs import FAULTS, PairsSource, labels_of
from pslgs.spec.entrypoints import load_entrypoint
from pslgs.spec.errors import InputError
from pslgs.spec.source import DataSource

LABEL_ATTRIBUTES = ("labels", "targets")


def open_custom(source: DataSource, field: str) -> PairsSource:
    """Open the dataset that the function ``source.entrypoint`` returns when called with ``source.options``.

    The dataset must have ``__len__`` and ``__getitem__``, and its items must be pairs (sample, label).
    Labels are taken from its attribute ``labels`` or ``targets``; without one, all items are read once.

    Raises:
        InputError: the function cannot be imported, raises, or does not return such a dataset.
    """
    field = f"{field}.entrypoint"
    function = load_entrypoint(source.entrypoint or "", field)
    try:
        dataset = function(**source.options)
    except FAULTS as error:
        raise InputError.at(field, f"failed with {type(error).__name__}: {error}") from error
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        kind = type(dataset).__name__
        raise InputError.at(
            field, f"returned a {kind}; it must return an object with __len__ and __getitem__"
        )
    labels = labels_of(dataset, LABEL_ATTRIBUTES, field)
    return PairsSource(dataset, labels, tuple(source.classes) if source.classes else None, field)
