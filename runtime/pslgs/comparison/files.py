"""The files of a comparison: the same command writes the same, but for what it measured."""

import csv
import json
from pathlib import Path
from typing import Any, Final

import yaml

from pslgs.comparison.answers import answers
from pslgs.comparison.comparison import Comparison
from pslgs.comparison.report import render

JOB: Final = "job.yaml"
TABLE: Final = "comparison.csv"
DOCUMENT: Final = "comparison.json"
REPORT: Final = "report.html"


def write_files(comparison: Comparison, folder: Path) -> None:
    """Write table, document and report into a folder.

    Raises:
        OSError: a file cannot be written.
    """
    job = comparison.job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    (folder / JOB).write_text(yaml.safe_dump(job, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / DOCUMENT).write_text(
        json.dumps(to_document(comparison), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    (folder / REPORT).write_text(render(comparison), encoding="utf-8")
    table = comparison.table()
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Turn a comparison into what JSON can say; what is not known is null, accuracies are 0 … 1."""
    table, uniform = comparison.table(), comparison.uniform()
    return {
        "job": comparison.job.metadata.name,
        "seeds": list(comparison.options.seeds),
        "globalBatchSize": comparison.batch_size,
        "targetAccuracy": comparison.target_accuracy,
        "uniformDeviation": {"expected": uniform.expected, "bound": uniform.bound},
        "answers": [{"question": each.question, "answer": each.text} for each in answers(comparison)],
        "strategies": [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)],
        "latentDirichlet": [
            {
                "delayWeight": each.delay_weight,
                "epochSeconds": each.epoch_seconds,
                "deviation": each.deviation,
            }
            for each in comparison.trades()
        ],
    }
