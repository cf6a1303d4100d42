"""The files of a comparison: table, JSON document and a self-contained HTML report."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from pslgs.comparison import figures
from pslgs.comparison.chosen_metric import axis_label
from pslgs.comparison.summary import Comparison
from pslgs.comparison.tables import columns
from pslgs.comparison.text import answers
from pslgs.costs.quantities import bandwidth, seconds, whole_percent
from pslgs.reporting.page import Chart

_CHARTS: tuple[tuple[str, str, Callable[[Comparison], str | None]], ...] = (
    (
        "{Metric} over steps",
        "Mean over the seeds; the band reaches from the worst to the best.",
        figures.draw_metric,
    ),
    (
        "{Metric} over steps, recalibrated",
        "With BatchNorm statistics estimated anew over global batches before each evaluation: what is left"
        " of the gaps was learnt, the rest was only the last batches' statistics.",
        figures.draw_recalibrated,
    ),
    (
        "{Metric} over modelled time",
        "Over the links and machines that were assumed; Centralized is computed by the server alone,"
        " FederatedAveraging by the clients alone.",
        figures.draw_metric_over_time,
    ),
    (
        "Batch deviation over the epoch",
        "L1 distance of a batch's class mix from the pooled one, 0 to 2. Expectation and bound are those of a"
        " uniform batch of the global batch size. The bound is the L1 form of Serfling's inequality: loose,"
        " so uniform batches stay far below it.",
        figures.draw_deviation,
    ),
    (
        "Batch size over the epoch",
        "Where clients run dry and nobody makes up for them, an epoch ends in small batches.",
        figures.draw_batch_size,
    ),
    (
        "Active clients over the epoch",
        "Those that contribute to a step, and therefore get parameters and send gradients.",
        figures.draw_active_clients,
    ),
    (
        "Steps per epoch",
        "Each with the overhead of a round trip to the clients.",
        figures.draw_steps_per_epoch,
    ),
    (
        "Traffic",
        "Payload of an epoch: smashed data, labels, cut gradients, parameters and gradients. Of Centralized"
        " all samples, which travel once and not in each epoch.",
        figures.draw_traffic,
    ),
    (
        "LatentDirichlet: time against deviation",
        "A larger δ drains slow clients early: later steps wait for nobody, and their batches are less"
        " like the pooled data.",
        figures.draw_time_against_deviation,
    ),
)


def render(comparison: Comparison) -> str:
    """Return the report as HTML; equal comparisons give equal bytes."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pslgs.comparison"), PackageLoader("pslgs.reporting")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    document = comparison.job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return environment.get_template("comparison.html.j2").render(
        name=comparison.job.metadata.name,
        answers=answers(comparison),
        settings=list(_settings(comparison)),
        columns=columns(comparison),
        charts=charts(comparison),
        job=yaml.safe_dump(document, sort_keys=False, allow_unicode=True),
    )


def charts(comparison: Comparison) -> list[Chart]:
    """Return the charts for which there is something to draw."""
    label = axis_label(comparison.metric)
    name = label[0].upper() + label[1:]
    drawn = [Chart(title.format(Metric=name), caption, draw(comparison)) for title, caption, draw in _CHARTS]
    return [chart for chart in drawn if chart.svg is not None]


def _settings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    spec, options = comparison.job.spec, comparison.options
    first = next(iter(comparison.outcomes), None)
    most = max((each.clients for each in comparison.outcomes), default=0)
    yield "model", spec.model.architecture
    yield "cut layer", spec.model.cut_layer or "–"
    yield "clients", f"{most:,}"
    if spec.data.partition is not None:
        skew = spec.data.partition
        iid = skew.scheme.value == "IID"
        yield (
            "partition",
            "IID" if iid else f"{skew.classes_per_client} classes a client, α = {skew.concentration:g}",
        )
    if first is not None:
        yield "samples", f"{first.samples:,}"
    yield "global batch size", f"{comparison.batch_size:,}"
    yield "epochs", f"{spec.epochs:,}"
    yield "seeds", ", ".join(map(str, options.seeds))
    if options.simulation.recalibration_batches:
        yield "recalibrated over", f"{options.simulation.recalibration_batches:,} global batches"
    mix = options.simulation.profile or ()
    weights = sum(part.weight for part in mix)
    for part in mix:
        link = part.profile
        speeds = (
            f"{bandwidth(link.uplink)} up, {bandwidth(link.downlink)} down, {seconds(link.latency)} one way"
        )
        yield (
            f"{whole_percent(part.weight / weights)} of links",
            f"{speeds}, {link.samples_per_second:,.0f} samples/s",
        )


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
        json.dumps(comparison_document(comparison), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    (folder / REPORT).write_text(render(comparison), encoding="utf-8")
    table = comparison.table()
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as a JSON document; what is not known is null, accuracies are 0 … 1."""
    table, uniform = comparison.table(), comparison.uniform()
    return {
        "job": comparison.job.metadata.name,
        "seeds": list(comparison.options.seeds),
        "globalBatchSize": comparison.batch_size,
        "metric": comparison.metric,
        "target": comparison.target,
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
