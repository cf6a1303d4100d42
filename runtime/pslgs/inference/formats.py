"""Formats in which a model can be exported."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from pslgs.spec.errors import InputError


class ExportFormat(StrEnum):
    """Format of an exported model."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


class Part(StrEnum):
    """The part of a model that is exported."""

    WHOLE = "whole"
    CLIENT = "client"
    SERVER = "server"


SUFFIXES: Final = {
    ExportFormat.SAFETENSORS: (".safetensors",),
    ExportFormat.ONNX: (".onnx",),
    ExportFormat.TORCHSCRIPT: (".pt", ".torchscript"),
}


def format_of(output: Path | None, chosen: ExportFormat | None) -> ExportFormat:
    """Return the format to write: the chosen one, or that of the file's suffix, or safetensors.

    Raises:
        InputError: the suffix is that of another format, or of none.
    """
    if output is None:
        return chosen or ExportFormat.SAFETENSORS
    suffix = output.suffix.lower()
    found = next((each for each, suffixes in SUFFIXES.items() if suffix in suffixes), None)
    if found is None or chosen not in {None, found}:
        known = ", ".join(
            f"{'or '.join(f'{each} ' for each in suffixes)}for {name}" for name, suffixes in SUFFIXES.items()
        )
        raise InputError.at(
            "--output", f"is '{output}', whose suffix is not that of {chosen or 'a format'}; take {known}"
        )
    return found
