"""Read a server's /status and termination messages."""

from collections.abc import Mapping
from typing import Any

from pslgs.json_text import parse_json
from pslgs_operator.fields import mapping, number, text, whole
from pslgs_operator.snapshot import ServerReport, TerminationMessage
from pslgs_operator.text import plain

_LONGEST_NAME = 320
"""Of a client: a node's name and a number."""
_LONGEST_METRIC = 40


def read_report(answer: str | bytes) -> ServerReport | None:
    """Read the answer of a server's `/status`; None if it is none."""
    return _report(_document(answer))


def read_last_words(message: str, exit_code: int | None) -> TerminationMessage:
    """Read a termination message: JSON of ours, or the last lines of a crash's log."""
    document = _document(message)
    if not document:
        return TerminationMessage(exit_code, _last_telling_line(message))
    own = whole(document, "exitCode")
    return TerminationMessage(
        exit_code=own if exit_code is None else exit_code,
        message=plain(text(document, "message")),
        report=_report(document),
    )


def _document(written: str | bytes) -> Mapping[str, Any]:
    try:
        return mapping(parse_json(written))
    except ValueError:
        return {}


def _last_telling_line(log: str) -> str:
    """Return the last line with a letter or digit in it; a traceback ends with the error itself."""
    lines = (plain(line) for line in reversed(log.splitlines()))
    return next((line for line in lines if any(map(str.isalnum, line))), "")


def _report(document: Mapping[str, Any]) -> ServerReport | None:
    phase = plain(text(document, "phase"))
    if not phase:
        return None
    clients, saved = mapping(document, "clients"), mapping(document, "lastCheckpoint")
    live, live_count = _members(clients, "live")
    lost, lost_count = _members(clients, "lost")
    metric = mapping(document, "metric")
    message, notice = plain(text(document, "message")), plain(text(document, "notice"))
    return ServerReport(
        phase=phase,
        epoch=_at_least_zero(document, "epoch"),
        epochs=_at_least_zero(document, "epochs"),
        step=_at_least_zero(document, "step"),
        steps=_at_least_zero(document, "steps"),
        progress=min(1.0, max(0.0, number(document, "progress") or 0.0)),
        eta_seconds=number(document, "etaSeconds"),
        loss=number(document, "loss"),
        accuracy=number(document, "accuracy"),
        metric=plain(text(metric, "name"), _LONGEST_METRIC),
        metric_value=number(metric, "value"),
        best_value=number(metric, "best"),
        best_epoch=whole(metric, "bestEpoch"),
        deviation=number(document, "deviation"),
        deviation_expected=number(document, "deviationExpected"),
        deviation_bound=number(document, "deviationBound"),
        samples_per_second=number(document, "samplesPerSecond"),
        live=live,
        lost=lost,
        live_count=live_count,
        lost_count=lost_count,
        checkpoint_step=whole(saved, "step"),
        checkpoint_time=number(saved, "time"),
        message="" if message == notice else message,
        notice=notice,
        job_uid=plain(text(document, "jobUid")),
        exit_code=whole(document, "exitCode"),
        stopped_early=document.get("stoppedEarly") is True,
    )


def _members(clients: Mapping[str, Any], state: str) -> tuple[tuple[str, ...], int | None]:
    """Read names, or, in last words, their number."""
    found = clients.get(state)
    if isinstance(found, list):
        names = (plain(name, _LONGEST_NAME) for name in found if isinstance(name, str))
        return tuple(sorted(filter(None, names))), None
    count = whole(clients, state)
    return (), None if count is None else max(0, count)


def _at_least_zero(document: Mapping[str, Any], name: str) -> int:
    return max(0, whole(document, name) or 0)
