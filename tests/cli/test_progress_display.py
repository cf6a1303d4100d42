"""The progress display in wide and narrow terminals, with and without colours."""

import io

import pytest
from rich.console import Console

from pslgs.launch.progress import ProgressView, display, figures

STATUS = {
    "phase": "Training",
    "epoch": 3,
    "epochs": 60,
    "step": 42,
    "steps": 720,
    "progress": 0.0583,
    "etaSeconds": 754.2,
    "loss": 0.4321,
    "accuracy": 0.912,
    "metric": {"name": "BalancedAccuracy", "value": 0.9, "best": 0.95, "bestEpoch": 2},
    "deviation": 0.21,
    "deviationBound": 0.33,
    "samplesPerSecond": 1234.5,
    "clients": {"live": ["a", "b", "c"], "lost": ["edge-1-0"]},
    "clientsExpected": 4,
    "message": "the checkpoint of step 40 could not be written: No space left on device",
}


def shown(width: int, status: dict = STATUS) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, highlight=False)
    console.print(display(status))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in written.splitlines()]


@pytest.mark.parametrize("width", [60, 100])
def test_every_figure_is_whole_at_any_width(width: int) -> None:
    lines = shown(width)
    assert all(len(line) <= width for line in lines)
    assert lines[0].replace("\N{NO-BREAK SPACE}", " ") == "Training epoch 3/60, step 42/720, 12 min 34 s left"
    assert lines[1].endswith(" 5%")
    assert all(any(figure in line for line in lines) for figure in figures(STATUS))
    assert lines[-1] == "lost: edge-1-0"


def test_lost_clients_that_the_message_names_are_not_named_again() -> None:
    message = "3 of 4 expected clients connected; not back yet: edge-1-0"
    assert [line for line in shown(100, STATUS | {"message": message}) if "edge-1-0" in line] == [message]


def test_nothing_is_said_of_what_is_not_known_yet() -> None:
    start = dict.fromkeys(STATUS, None) | {
        "phase": "Starting",
        "steps": 0,
        "progress": 0.0,
        "clients": {},
        "clientsExpected": 4,
        "message": "",
    }
    assert [line for line in shown(60, start) if line] == ["Starting", " " * 51 + "0%", "clients 0/4"]


def test_no_colour_is_written_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    console.print(display(STATUS))
    assert "\x1b[3" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_outside_of_a_terminal_each_epoch_is_a_line() -> None:
    console = Console(file=io.StringIO(), width=60)
    with ProgressView(console) as view:
        for step in (42, 43):
            view.show({**STATUS, "step": step, "message": ""})
        view.show({**STATUS, "epoch": 4, "message": ""})
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split(",")[0] for line in lines] == ["Training epoch 3/60", "Training epoch 4/60"]
