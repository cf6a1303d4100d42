"""``pslgs predict``: classify files, or estimate their values, with the model of a run."""

import csv
import io
import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pslgs.cli.options import RunArgument, WhichModel, WhichOption

if TYPE_CHECKING:
    from pslgs.inference.prediction import Prediction


class PredictionFormat(StrEnum):
    """Format of predictions."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def predict(
    run: RunArgument,
    samples: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Images, .npy, .npz, CSV or Parquet files, or folders of them."),
    ],
    which: WhichOption = WhichModel.FINAL,
    output_format: Annotated[
        PredictionFormat, typer.Option("--format", help="Format of the predictions.")
    ] = PredictionFormat.TEXT,
    output: Annotated[Path | None, typer.Option(help="File to write; default: print them.")] = None,
) -> None:
    """Predict samples that are decoded and transformed as in an evaluation of the training."""
    from pslgs.inference.prediction import predict_files, sample_files
    from pslgs.inference.trained_model import load_model

    model = load_model(run, which)
    files = sample_files(samples, tables=bool(model.description.preprocessing.columns))
    found = list(predict_files(model, files))
    text = {PredictionFormat.TEXT: _lines, PredictionFormat.JSON: _json, PredictionFormat.CSV: _csv}[
        output_format
    ](found)
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"{output}: {len(found):,} predictions")


def _lines(found: Sequence["Prediction"]) -> str:
    return "".join(f"{each.sample}  {_words(each)}\n" for each in found)


def _words(one: "Prediction") -> str:
    if one.values:
        return ", ".join(f"{value:.6g}" for value in one.values)
    return ", ".join(f"{name} {one.probabilities[name]:.1%}" for name in one.classes) or "none"


def _json(found: Sequence["Prediction"]) -> str:
    documents = [
        {"sample": each.sample, "values": list(each.values)}
        if each.values
        else {"sample": each.sample, "classes": list(each.classes), "probabilities": dict(each.probabilities)}
        for each in found
    ]
    return json.dumps(documents, indent=2, ensure_ascii=False) + "\n"


def _csv(found: Sequence["Prediction"]) -> str:
    first = found[0]
    values = [f"value{number}" for number in range(len(first.values))]
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(["sample", *(values or ["class", *first.probabilities])])
    for each in found:
        classes = [] if each.values else [";".join(each.classes)]
        writer.writerow([each.sample, *classes, *each.probabilities.values(), *each.values])
    return written.getvalue()
