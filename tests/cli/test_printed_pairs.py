"""Names and values are printed in two columns, however long a name is."""

import io

import pytest
from rich.console import Console

from pslgs.cli.printing import print_pairs


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "file"])
def test_two_spaces_follow_the_longest_name(*, is_terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, color_system=None, width=80)
    print_pairs([("steps", "7"), ("mean over clients", "accuracy 100 %")], 16, console)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == ["  steps              7", "  mean over clients  accuracy 100 %"]
