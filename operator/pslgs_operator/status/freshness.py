"""When a status has to be written: changes at once, training figures and heartbeats from time to time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pslgs_operator.fields import moment

_FIGURES: Final = frozenset({"training", "checkpoint", "lastHeartbeatTime"})
"""Fields that change with every step of a training."""


def write_time(
    old: Mapping[str, Any], new: Mapping[str, Any], *, alive: bool, interval: timedelta, now: datetime
) -> datetime | None:
    """Return when ``new`` has to be written over ``old``; None if never.

    Args:
        old: The status that the API server has.
        new: The status that was just found.
        alive: Whether a heartbeat is due although nothing changed.
        interval: Time between two writes that change only figures.
        now: The present time.
    """
    if _without_figures(old) != _without_figures(new):
        return now
    if not alive and _without_heartbeat(old) == _without_heartbeat(new):
        return None
    last = moment(old, "lastHeartbeatTime")
    return now if last is None or last > now else max(now, last + interval)


def _without_figures(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name not in _FIGURES}


def _without_heartbeat(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "lastHeartbeatTime"}
