"""A dataset made by the user's own function."""

from pslgs.data.pairs import FAULTS, PairsSource, labels_of
from pslgs.spec.entrypoints import load_entrypoint
from pslgs.spec.errors import InputError
from pslgs.spec.source import DataSource

LABEL_ATTRIBUTES = ("labels", "targets")


def open_custom(source: DataSource, field: str) -> PairsSource:
    """Call the function that ``source.entrypoint`` names with its options as keyword arguments.

    It returns an object with a length whose items are (sample, label).  All items are read once for their
    labels, unless it has them as its attribute ``labels`` or ``targets``.

    Raises:
        InputError: the function cannot be imported, fails, or returns no dataset.
    """
    field = f"{field}.entrypoint"
    function = load_entrypoint(source.entrypoint or "", field)
    try:
        dataset = function(**source.options)
    except FAULTS as error:
        raise InputError.at(field, f"failed with {type(error).__name__}: {error}") from error
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        kind = type(dataset).__name__
        raise InputError.at(field, f"returned a {kind}; it must return an object with a length and items")
    labels = labels_of(dataset, LABEL_ATTRIBUTES, field)
    return PairsSource(dataset, labels, tuple(source.classes) if source.classes else None, field)
