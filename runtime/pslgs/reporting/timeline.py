"""Events of a run besides steps, as rows of a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from pslgs.reporting.formatting import count
from pslgs.reporting.history import History
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    SkippedRecord,
    StepRecord,
    WeightsRecord,
)

ROWS_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the table.

    Attributes:
        time: Unix time in seconds.
        text: Description of the event.
        warning: Whether the event is a reason for concern.
        group: Consecutive events of the same group are merged into one row; empty for no group.
    """

    time: float
    text: str
    warning: bool = False
    group: str = ""


def events(history: History) -> list[Event]:
    """Return the events of a run in their order.

    Repeated events are merged.  If there are more than `ROWS_LIMIT` rows, those in the middle are left out.
    """
    rows: list[Event] = []
    for group, members in groupby(_events(history), key=lambda event: event.group):
        repeated = list(members)
        rows.extend([_merged(repeated)] if group and len(repeated) > 1 else repeated)
    surplus = len(rows) - ROWS_LIMIT
    if surplus > 0:
        half = ROWS_LIMIT // 2
        rows[half:-half] = [Event(rows[half].time, f"… and {count(surplus, 'other event')} …")]
    return rows


def _events(history: History) -> Iterator[Event]:
    joined: set[str] = set()
    diverged = history.diverged_at()
    for record in history.records:
        match record:
            case ClientRecord():
                yield _change(record, again=record.client in joined)
                joined.add(record.client)
            case AbortRecord():
                text = f"attempt {record.attempt} at step {record.step:,} was aborted: {record.reason}"
                yield Event(record.time, text, warning=True)
            case SkippedRecord():
                yield _skipped(record)
            case CheckpointRecord():
                yield _checkpoint(record)
            case EvaluationRecord(missing=missing) if missing:
                yield Event(record.time, f"evaluation without {', '.join(missing)}", warning=True)
            case WeightsRecord(message=message):
                yield Event(record.time, message)
            case FinishRecord():
                yield _finish(record)
            case StepRecord(step=step) if record is diverged:
                yield Event(record.time, f"the loss of step {step:,} is not a number", warning=True)


def _change(record: ClientRecord, *, again: bool) -> Event:
    if record.change == "lost":
        return Event(record.time, f"client {record.client} was lost: {record.reason}", warning=True)
    suffix = " again" if again else ""
    return Event(record.time, f"client {record.client} joined{suffix}", group=f"clients joined{suffix}")


def _checkpoint(record: CheckpointRecord) -> Event:
    if record.error is None:
        return Event(record.time, f"checkpoint of step {record.step:,}", group="checkpoints")
    text = f"the checkpoint of step {record.step:,} could not be written: {record.error}"
    return Event(record.time, text, warning=True)


def _finish(record: FinishRecord) -> Event:
    text = record.outcome.lower().replace("_", " ")
    failed = record.outcome not in {"FINISHED", "INTERRUPTED"}
    return Event(record.time, f"{text}: {record.message}" if record.message else text, warning=failed)


def _skipped(record: SkippedRecord) -> Event:
    lost = ", ".join(f"{client} ({samples:,})" for client, samples in sorted(record.samples.items()))
    total = count(sum(record.samples.values()), "sample")
    return Event(record.time, f"epoch {record.epoch:,} ended without {total} of {lost}", warning=True)


def _merged(repeated: list[Event]) -> Event:
    last = repeated[-1]
    return Event(last.time, f"{len(repeated):,} {last.group}, the last: {last.text}")
