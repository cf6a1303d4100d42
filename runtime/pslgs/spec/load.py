"""Loading and validation of manifests."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pslgs.spec.document import read_document
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.job import API_VERSION, KIND, SplitTrainingJob
from pslgs.spec.overrides import with_overrides
from pslgs.spec.violations import violations_of


def load_job(path: Path | str, overrides: Sequence[str] = ()) -> SplitTrainingJob:
    """Load the manifest in a file and apply ``overrides`` such as ``spec.epochs=3`` to it.

    Raises:
        InputError: the manifest cannot be read or is invalid; it holds every violation.
    """
    return parse_job(with_overrides(read_document(Path(path)), overrides))


def parse_job(document: object) -> SplitTrainingJob:
    """Validate a manifest given as mappings, lists and scalars; a ``status`` in it is ignored.

    Raises:
        InputError: the manifest is invalid; it holds every violation.
    """
    if not isinstance(document, Mapping):
        raise InputError.at(
            "", f"the manifest must be a mapping with apiVersion, kind, metadata and spec of a {KIND}"
        )
    if wrong_kind := tuple(_kind_violations(document)):
        raise InputError(*wrong_kind)
    fields = {name: value for name, value in document.items() if name != "status"}
    try:
        return SplitTrainingJob.model_validate(fields, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InputError(*violations_of(error, SplitTrainingJob)) from error


def _kind_violations(document: Mapping[str, object]) -> Iterator[Violation]:
    """Check apiVersion and kind alone, because every field of another kind of object would be a violation."""
    for name, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        given = document.get(name)
        if given != expected:
            was = "is missing" if given is None else f"is {given!r}"
            yield Violation(name, f"{was}, must be {expected}")
