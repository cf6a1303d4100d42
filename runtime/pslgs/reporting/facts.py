"""The figures and settings at the top of a report."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from pslgs.reporting.history import History
from pslgs.reporting.wording import duration, moment, percent


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest as the user wrote it; it may be invalid, and the report does not fail then."""

    text: str
    document: Mapping[str, object]

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.value("metadata", "name") or "a run"

    def value(self, *path: str) -> str:
        """Return the field at a path as text; empty if there is none."""
        node: object = self.document
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return "" if node is None else str(node)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; if the file is missing or not valid YAML, it has no fields."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return Manifest("", {})
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        document = None
    return Manifest(text, document if isinstance(document, Mapping) else {})


def headline(history: History) -> list[tuple[str, str]]:
    """Return the main figures of a run as pairs of name and value."""
    accuracies = [record.accuracy for record in history.evaluations if record.accuracy is not None]
    speed = history.samples_per_second()
    return [
        ("outcome", history.finish.outcome.lower().replace("_", " ") if history.finish else "not ended"),
        ("final accuracy", percent(accuracies[-1]) if accuracies else "–"),
        ("samples/s", f"{speed:,.0f}" if speed is not None else "–"),
        ("steps", f"{history.steps[-1].step:,}" if history.steps else "0"),
    ]


def settings(manifest: Manifest, history: History) -> list[tuple[str, str]]:
    """Return the settings of a run as pairs of name and value; unknown ones are left out."""
    return [(label, value) for label, value in _settings(manifest, history) if value]


def _settings(manifest: Manifest, history: History) -> Iterator[tuple[str, str]]:
    yield "model", manifest.value("spec", "model", "architecture")
    yield "cut layer", manifest.value("spec", "model", "cutLayer")
    yield "sampling strategy", manifest.value("spec", "sampling", "strategy")
    steps = history.steps
    largest = f"{max(step.batch_size for step in steps):,}" if steps else ""
    yield "global batch size", manifest.value("spec", "sampling", "globalBatchSize") or largest
    yield "epochs", f"{steps[-1].epoch:,} of {manifest.value('spec', 'epochs') or '?'}" if steps else ""
    yield "clients", f"{len(history.clients()):,}" if history.clients() else ""
    yield "started", moment(history.started) if history.started is not None else ""
    yield "duration", duration(history.seconds) if history.records else ""
