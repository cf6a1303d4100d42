"""The table of all decoders of what comes from outside, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fuzzing.engine import Finding, Target
from fuzzing.targets.cluster_objects import CLUSTER_OBJECTS
from fuzzing.targets.datasets import DATASETS
from fuzzing.targets.run_files import RUN_FILES
from fuzzing.targets.wire import WIRE

CORPUS: Final = Path(__file__).parent / "corpus"
"""Inputs that found something, in a folder for each target."""

TARGETS: Final[Mapping[str, Callable[[Path], Target]]] = MappingProxyType(
    {make.__name__.replace("_", "-"): make for make in (*WIRE, *RUN_FILES, *DATASETS, *CLUSTER_OBJECTS)}
)
"""Name -> function that makes the target, given an empty folder for its files."""


def keep(name: str, finding: Finding) -> Path:
    """Write an input that found something into the corpus of a target, and return its file."""
    file = CORPUS / name / finding.name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(finding.data)
    return file


def corpus_of(name: str) -> list[Path]:
    """List the inputs that are kept for a target."""
    return sorted((CORPUS / name).glob("*"))
