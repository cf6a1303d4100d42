"""``pslgs init``: look at a data folder, ask for what it cannot tell, and write a manifest."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pslgs.cli.errors import report_error
from pslgs.cli.options import CacheOption
from pslgs.process.machine import DATASET_CACHE
from pslgs.spec import InputError
from pslgs.spec.data import DataFormat

if TYPE_CHECKING:
    from pslgs.drafting.choices import Answers
    from pslgs.drafting.contents import ColumnChoice, Contents
    from pslgs.drafting.places import Places
    from pslgs.drafting.tables import ColumnKind

T = TypeVar("T")


class DraftedFormat(StrEnum):
    """Formats of data that a folder may hold."""

    PARQUET = DataFormat.PARQUET
    CSV = DataFormat.CSV
    IMAGE_FOLDER = DataFormat.IMAGE_FOLDER
    NUMPY = DataFormat.NUMPY


def init(  # noqa: PLR0913, PLR0917 - the options of a command
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder in which data are searched for; or the path of the training data, with {client} "
            "where the names of clients are.",
        ),
    ] = "data",
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("job.yaml"),
    data_format: Annotated[
        DraftedFormat | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Format of the data: Parquet, CSV, ImageFolder or NumPy; default: what is found.",
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of labels in a table.")] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="COLUMN,…", help="Columns of inputs in a table.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the job.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="Network: mlp, cnn, series-cnn, text-cnn, a classifier of torchvision, or "
            "package.module:function.",
        ),
    ] = None,
    cut_layer: Annotated[str | None, typer.Option(metavar="LAYER", help="Last layer at the clients.")] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Names of the classes, in the order of the outputs.")
    ] = None,
    partition: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="CLIENTS",
            help="Number of clients among which one dataset is divided; 0 to give all of it to each.",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over all samples.")] = 10,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the suggestions instead of asking.")] = False,  # noqa: FBT002
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,  # noqa: FBT002
    cache: CacheOption = DATASET_CACHE,
) -> None:
    """Look at data, ask for model, cut layer and classes, and write a manifest with comments."""
    from rich.console import Console

    from pslgs.drafting.contents import ColumnChoice, look_at, table_columns
    from pslgs.drafting.manifest_text import manifest_text
    from pslgs.drafting.places import find_places
    from pslgs.spec.manifest import parse_job, parse_yaml

    console = Console(highlight=False)
    with console.status("Looking at the data"):
        places = find_places(data, None if data_format is None else DataFormat(data_format))
        columns = table_columns(places)
    _refuse_to_overwrite(output, ask=not yes, force=force)
    choice = ColumnChoice(label, _names(inputs) if inputs else ())
    if columns is not None:
        choice = _ask_columns(columns, choice, ask=not yes)
    with console.status("Looking at the samples"):
        contents = look_at(places, cache.expanduser(), choice)
    for line in _found(places, contents):
        console.print(line, soft_wrap=True, markup=False)
    given = _Given(name, model, cut_layer, classes, partition)
    answers = _answers(data, places, contents, given, ask=not yes)
    text = manifest_text(places, contents, answers, epochs)
    parse_job(parse_yaml(text, str(output)))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    console.print(f"{output}: a job called {answers.name}", soft_wrap=True)
    console.print(f"  next: pslgs check {output}; pslgs run {output}", soft_wrap=True)


def _refuse_to_overwrite(output: Path, *, ask: bool, force: bool) -> None:
    if not output.exists() or force:
        return
    if not (ask and _at_terminal(lambda: typer.confirm(f"Overwrite {output}?", default=False))):
        raise InputError.at("--output", f"is '{output}', which exists; give --force, or name another file")


def _ask_columns(columns: "Mapping[str, ColumnKind]", choice: "ColumnChoice", *, ask: bool) -> "ColumnChoice":
    """Ask for the columns of a table that no option names."""
    from pslgs.drafting.contents import ColumnChoice
    from pslgs.drafting.tables import choose_columns

    chosen = choose_columns(columns, choice.label, choice.inputs)
    if not ask:
        return choice
    label, inputs = choice.label, choice.inputs
    if label is None:
        typer.echo(f"columns: {', '.join(f'{name} ({kind})' for name, kind in columns.items())}")
        label = _ask("Column of labels", chosen.label, lambda given: choose_columns(columns, given).label)
    if not inputs:
        suggested = choose_columns(columns, label).inputs
        inputs = _ask(
            "Columns of inputs",
            ",".join(suggested),
            lambda given: choose_columns(columns, label, _names(given)).inputs,
        )
    return ColumnChoice(label, inputs)


@dataclass(frozen=True, slots=True)
class _Given:
    """What options answer; None for what they leave open."""

    name: str | None
    model: str | None
    cut_layer: str | None
    classes: str | None
    partition: int | None


def _answers(data: str, places: "Places", contents: "Contents", given: _Given, *, ask: bool) -> "Answers":
    """Return what options, the user, or else the suggestions answer.

    Raises:
        InputError: an option, or a suggestion that is not asked for, cannot be used.
    """
    from pslgs.drafting import choices

    def answered(question: str, option: str | None, suggested: str, check: Callable[[str], T]) -> T:
        if option is not None or not ask:
            return check(suggested if option is None else option)
        return _ask(question, suggested, check)

    classes = answered(
        _question_of_classes(contents),
        given.classes if contents.classes or given.classes else "",
        ",".join(choices.default_classes(contents)),
        lambda text: choices.checked_classes(contents, _names(text)),
    )
    network = answered(
        "Network",
        given.model,
        choices.suggested_architecture(contents),
        lambda name: choices.Network.of(contents, name, choices.outputs(contents, classes)),
    )
    cut_layer = None
    if network.layers:
        cut_layer = answered(
            f"Cut layer ({', '.join(network.layers)}, or one inside)",
            given.cut_layer,
            network.suggested_cut,
            network.checked_cut,
        )
    partition = answered(
        "Number of clients to divide this dataset among (0: each has all of it)",
        "0" if places.clients and given.partition is None else _text(given.partition),
        str(choices.default_partition(places)),
        _count,
    )
    name = given.name or choices.suggested_name(data)
    return choices.Answers(name, network, cut_layer, classes, partition)


def _question_of_classes(contents: "Contents") -> str:
    if contents.has_names:
        return "Classes, in the order of the outputs"
    return f"Names of the classes 0 to {len(contents.classes) - 1} (empty: none)"


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _ask(question: str, suggested: str, check: Callable[[str], T]) -> T:
    """Ask until the answer can be used."""
    typer.echo(question)
    while True:
        given = _at_terminal(lambda: typer.prompt(" ", default=suggested, show_default=bool(suggested)))
        try:
            return check(given)
        except InputError as error:
            report_error(error)


def _at_terminal(ask: Callable[[], T]) -> T:
    """Return what the user answers.

    Raises:
        InputError: there is no terminal, and nothing more to read in its place.
        typer.Abort: the user pressed Ctrl-C or Ctrl-D.
    """
    try:
        return ask()
    except typer.Abort as error:
        if sys.stdin.isatty():
            raise
        typer.echo()  # ends the line of the question
        raise InputError.at("", "there is no terminal to ask at; give --yes") from error


def _count(text: str) -> int:
    if not text.isdecimal():
        raise InputError.at("", f"'{text}' is no number")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


def _found(places: "Places", contents: "Contents") -> Iterator[str]:
    """Describe the data that were found."""
    shape = "×".join(map(str, contents.shape))
    several = " and others" if contents.shapes > 1 else ""
    yield f"found {places.format} data: {places.train}"
    yield f"  samples are {contents.kind.value} of the shape {shape}{several}"
    texts = contents.columns.texts if contents.columns else ()
    if texts:
        yield f"  left out, because they are texts: {', '.join(texts)}"
        yield "    to use one, give a column of 0 and 1 for each of its categories"
    for site in contents.sites:
        counts = ", ".join(f"{name} {count:,}" for name, count in site.classes.items())
        who = f"{site.client}: " if site.client else ""
        yield f"  {who}{site.samples:,} samples" + (f" ({counts})" if counts else "")
    yield f"  evaluation: {places.evaluation or 'no data were found'}"
    for remark in contents.remarks():
        yield f"  warning: {remark}"
