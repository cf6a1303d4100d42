"""From a manifest's text to a job, or to all that is wrong with it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pslgs.spec.document import read_document
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.job import API_VERSION, KIND, SplitTrainingJob
from pslgs.spec.overrides import with_overrides
from pslgs.spec.violations import violations_of


def load_job(path: Path | str, overrides: Sequence[str] = ()) -> SplitTrainingJob:
    """Read the manifest in a file, with ``overrides`` such as ``spec.epochs=3`` laid over it.

    Raises:
        InputError: with every violation, if the manifest cannot be read or used.
    """
    return parse_job(with_overrides(read_document(Path(path)), overrides))


def parse_job(document: object) -> SplitTrainingJob:
    """Make a job of a manifest's mappings, lists and scalars; the status of ``kubectl get`` is passed over.

    Raises:
        InputError: with every violation.
    """
    if not isinstance(document, Mapping):
        raise InputError.at(
            "", f"the manifest must be a mapping with apiVersion, kind, metadata and spec of a {KIND}"
        )
    if foreign := tuple(_foreign(document)):
        raise InputError(*foreign)
    fields = {name: value for name, value in document.items() if name != "status"}
    try:
        return SplitTrainingJob.model_validate(fields, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InputError(*violations_of(error, SplitTrainingJob)) from error


def _foreign(document: Mapping[str, object]) -> Iterator[Violation]:
    """Judge first what kind of object it is; another kind's fields are not worth a list."""
    for name, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        given = document.get(name)
        if given != expected:
            was = "is missing" if given is None else f"is {given!r}"
            yield Violation(name, f"{was}, must be {expected}")
