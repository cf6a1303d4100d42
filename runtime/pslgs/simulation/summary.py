"""Summary figures of a simulation, as text and as JSON."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pslgs.simulation.result import SimulationResult, Steps
from pslgs.spec.metrics import Metric, is_better, write_metric
from pslgs.telemetry.records import EvaluationRecord

MEASURED = "measured_seconds"
"""The column of `Steps` that differs between runs of the same simulation."""
END_OF_EPOCH = 0.2
"""Share of an epoch's steps that counts as its end, where strategies differ most."""


def summary(result: SimulationResult) -> dict[str, object]:
    """Return name -> figure, None for what is not known; shares and accuracies are 0 … 1."""
    steps = result.steps
    epochs = int(steps.epoch.max(initial=0))
    judged = ~np.isnan(steps.deviation)
    return {
        "strategy": result.strategy,
        "clients": result.clients,
        "samples": result.samples,
        "seed": result.seed,
        "epochs": epochs,
        "steps": len(steps),
        "stepsPerEpoch": len(steps) / epochs if epochs else None,
        "activeClients": _mean(steps.active_clients),
        "batchSize": {
            "mean": _mean(steps.batch_size),
            "smallest": int(steps.batch_size.min(initial=0) if not len(steps) else steps.batch_size.min()),
            "largest": int(steps.batch_size.max(initial=0)),
        },
        "deviation": {
            "mean": _mean(steps.deviation),
            "endOfEpoch": _mean(steps.deviation[ends_of_epochs(steps)]),
            "expected": _mean(steps.deviation_expected),
            "bound": _mean(steps.deviation_bound),
            "aboveBound": _mean((steps.deviation > steps.deviation_bound)[judged]),
        },
        "bytesPerStep": {"up": _mean(steps.bytes_up), "down": _mean(steps.bytes_down)},
        "bytes": int(steps.bytes_up.sum() + steps.bytes_down.sum()),
        "attempts": int(steps.attempt.sum()),
        "loss": _number(steps.loss[-1]) if len(steps) else None,
        "accuracy": result.accuracy,
        "recalibratedAccuracy": result.recalibrated_accuracy,
        "metric": _metric(result.evaluations),
        "metrics": dict(result.evaluations[-1].metrics) if result.evaluations else {},
        "measuredSeconds": float(steps.measured_seconds.sum()),
        "modelledSeconds": _number(steps.modelled_seconds.sum()),
        "outcome": result.finish.outcome,
        "message": result.finish.message,
    }


def _metric(evaluations: Sequence[EvaluationRecord]) -> dict[str, object] | None:
    """Return the chosen metric, its last and its best value; None without evaluations."""
    if not evaluations:
        return None
    best = reduce(lambda one, other: other if _improves(other, one) else one, evaluations)
    last = evaluations[-1]
    epoch = None if best.value is None else best.epoch
    return {"name": last.metric, "value": last.value, "best": best.value, "bestEpoch": epoch}


def _improves(one: EvaluationRecord, than: EvaluationRecord) -> bool:
    if one.value is None or than.value is None:
        return one.value is not None
    return is_better(one.metric, one.value, than.value)


def ends_of_epochs(steps: Steps) -> NDArray[np.bool_]:
    """Return which steps are in the last fifth of their epoch; shape (steps,)."""
    late = np.zeros(len(steps), dtype=np.bool_)
    for epoch in np.unique(steps.epoch):
        members = np.flatnonzero(steps.epoch == epoch)
        late[members[-max(1, round(END_OF_EPOCH * len(members))) :]] = True
    return late


def words(figures: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the lines of a summary as pairs of a label and a text, without what is not known."""
    batch, deviation, traffic = (figures[name] for name in ("batchSize", "deviation", "bytesPerStep"))
    if not (isinstance(batch, dict) and isinstance(deviation, dict) and isinstance(traffic, dict)):
        raise TypeError("not the figures of `summary`")
    clients = "client" if figures["clients"] == 1 else "clients"
    lines = [
        (
            "strategy",
            f"{figures['strategy']}, {figures['clients']:,} {clients}, {figures['samples']:,} samples",
        ),
        ("steps", f"{figures['steps']:,}, {_written(figures['stepsPerEpoch'], ',.0f')} an epoch"),
        ("active clients", f"{_written(figures['activeClients'], '.1f')} a step"),
        ("batch size", f"{_written(batch['mean'], '.1f')} ({batch['smallest']} to {batch['largest']})"),
        ("deviation", _deviation(deviation)),
        (
            "bytes a step",
            f"{_written(traffic['up'], ',.0f')} up, {_written(traffic['down'], ',.0f')} down",
        ),
        ("loss", _written(figures["loss"], ".4f")),
        *_of_metric(figures["metric"]),
        ("accuracy", _accuracy(figures["accuracy"])),
        ("recalibrated", _accuracy(figures["recalibratedAccuracy"])),
        ("computed in", f"{_written(figures['measuredSeconds'], '.1f')} s"),
        ("would take", f"{_written(figures['modelledSeconds'], ',.1f')} s"),
    ]
    return [(name, line) for name, line in lines if line and not line.startswith(" ")]


def _accuracy(value: object) -> str:
    return write_metric(Metric.ACCURACY, value) if isinstance(value, float) else ""


def _of_metric(metric: object) -> Iterator[tuple[str, str]]:
    """Yield the line of the chosen metric; the accuracy has one of its own."""
    if not isinstance(metric, dict) or metric["value"] is None or metric["name"] == Metric.ACCURACY:
        return
    name = str(metric["name"])
    value, best = write_metric(name, metric["value"]), write_metric(name, metric["best"])
    shown = "evaluation loss" if name == Metric.LOSS else name
    yield shown, f"{value}, the best was {best} after epoch {metric['bestEpoch']}"


def write_table(steps: Steps, path: Path) -> None:
    """Write the figures of every step as CSV, without measured times, so that equal seeds give equal files.

    Raises:
        OSError: the file cannot be written.
    """
    table = {name: column for name, column in steps.table().items() if name != MEASURED}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def _deviation(figures: Mapping[str, float | None]) -> str:
    if figures["mean"] is None:
        return ""
    return (
        f"{_written(figures['mean'], '.3f')}, {_written(figures['endOfEpoch'], '.3f')} in an epoch's last "
        f"fifth; expected {_written(figures['expected'], '.3f')}, 99 % bound "
        f"{_written(figures['bound'], '.3f')}"
    )


def _mean(values: NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]) -> float | None:
    return _number(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _written(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else ""
