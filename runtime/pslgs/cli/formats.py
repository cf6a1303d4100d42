"""The forms in which a command prints its result, chosen by ``--format``."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer


class OutputFormat(StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[
    OutputFormat, typer.Option("--format", help="Print text for people or JSON for programs.")
]


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
