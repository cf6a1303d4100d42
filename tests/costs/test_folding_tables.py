"""Tables that fold in narrow terminals: every figure stays readable."""

import io

import pytest
from rich.console import Console

from pslgs.costs.folding_table import FoldingTable


def table() -> FoldingTable:
    made = FoldingTable("An epoch", "strategy", ("steps", "deviation\nexpected", "\nat end", "\nbound"))
    for number, name in enumerate(("Global", "FixedProportionalLocal", "LatentDirichlet", "Centralized")):
        made.add_row(name, f"{number}001", f"0.{number}11", f"0.{number}22", f"0.{number}33", style="green")
    return made


def printed(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table())
    lines: list[str] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [line.rstrip() for line in lines if line.strip()]


FIGURES = [f"{number}001" for number in range(4)] + [f"0.{n}{k}" for n in range(4) for k in (11, 22, 33)]


@pytest.mark.parametrize("width", [100, 60, 40, 30], ids=str)
def test_every_figure_is_whole(width: int) -> None:
    lines = printed(width)
    assert all(len(line) <= width for line in lines)
    assert [figure for figure in FIGURES if not any(figure in line for line in lines)] == []


def test_a_wide_terminal_has_a_row_for_each_name() -> None:
    assert any(
        line.split() == ["FixedProportionalLocal", "1001", "0.111", "0.122", "0.133"] for line in printed(100)
    )


def test_a_narrow_terminal_has_a_row_for_each_figure_with_its_whole_heading() -> None:
    lines = [line.split() for line in printed(50)]
    assert ["deviation", "expected", "0.011", "0.111"] in lines
    assert ["deviation", "bound", "0.233", "0.333"] in lines


def test_a_very_narrow_terminal_has_several_tables() -> None:
    assert sum(line.startswith("strategy") or "strategy" in line for line in printed(40)) > 1
