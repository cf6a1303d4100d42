"""Figures of the training for the status."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from pslgs.spec import ServerPhase
from pslgs.spec.metrics import SHARES
from pslgs.spec.scalars import INT32_MAX
from pslgs_operator.assessment.view import MOVING
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.status.types import SavedCheckpoint, Training

_LONGEST_ETA: Final = timedelta(days=3650)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def training_progress(old: Training, report: ServerReport | None, epochs: int) -> Training:
    """Format the figures of the server's report; unknown ones keep their value, except for speed and ETA."""
    if report is None or report.phase == ServerPhase.STARTING:
        return replace(old, epochs=epochs, samples_per_second="", eta="")
    at_work, over = report.phase in MOVING, report.phase == ServerPhase.FINISHED
    return Training(
        epoch=min(report.epoch, epochs) or old.epoch,
        epochs=epochs,
        step=report.step or old.step,
        steps=report.steps or old.steps,
        progress=_share(old, report),
        loss=_decimal(report.loss, 4) or old.loss,
        accuracy=_percentage(report.accuracy) or old.accuracy,
        **_metric(old, report),
        deviation=_decimal(report.deviation, 3) or old.deviation,
        deviation_expected=_decimal(report.deviation_expected, 3) or old.deviation_expected,
        deviation_bound=_decimal(report.deviation_bound, 3) or old.deviation_bound,
        samples_per_second=_pace(report.samples_per_second) if at_work or over else "",
        eta=_duration(report.eta_seconds) if at_work else "",
    )


def _metric(old: Training, report: ServerReport) -> dict[str, Any]:
    """Print the chosen metric; values of another one than before say nothing any more."""
    if not report.metric:
        return {name: getattr(old, name) for name in ("metric", "metric_value", "best_value", "best_epoch")}
    known = old if old.metric == report.metric else Training()
    write = _percentage if report.metric in SHARES else partial(_decimal, places=4)
    epoch = report.best_epoch if report.best_epoch is not None and 0 < report.best_epoch < INT32_MAX else None
    return {
        "metric": report.metric,
        "metric_value": write(report.metric_value) or known.metric_value,
        "best_value": write(report.best_value) or known.best_value,
        "best_epoch": epoch or known.best_epoch,
    }


def _share(old: Training, report: ServerReport) -> str:
    """Print the share that is done; only a server that resumed from an earlier step goes back."""
    if not report.steps:
        return old.progress
    share, before = int(100 * report.progress), old.progress.removesuffix("%")
    goes_on = report.step >= old.step and before.isascii() and before.isdigit()
    return f"{max(share, int(before)) if goes_on else share}%"


def saved_checkpoint(old: SavedCheckpoint | None, report: ServerReport | None) -> SavedCheckpoint | None:
    """Return the last checkpoint that is known of."""
    if report is None or report.checkpoint_step is None or report.checkpoint_time is None:
        return old
    if not 0 <= report.checkpoint_time < _LATEST:
        return old
    return SavedCheckpoint(report.checkpoint_step, datetime.fromtimestamp(int(report.checkpoint_time), UTC))


def _decimal(value: float | None, places: int) -> str:
    """Print with so many places, or in powers of ten where those would say nothing."""
    if value is None:
        return ""
    is_readable = value == 0 or 10 ** (1 - places) <= abs(value) < 10**6
    return f"{value:.{places}f}" if is_readable else f"{value:.2e}"


def _percentage(share: float | None) -> str:
    return f"{100 * share:.1f}%" if share is not None and 0 <= share <= 1 else ""


def _pace(samples: float | None) -> str:
    if samples is None or not 0 <= samples < 10**12:
        return ""
    return f"{samples:,.0f}" if samples >= 10 else f"{samples:.1f}"


def _duration(seconds: float | None) -> str:
    """Print the two largest units: ``1h 3m``."""
    if seconds is None or not 0 <= seconds < _LONGEST_ETA.total_seconds():
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
