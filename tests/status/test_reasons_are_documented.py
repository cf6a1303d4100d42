"""Every reason that a condition or an Event can have is explained in docs/reference/status.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pslgs_operator.assessment import hints
from pslgs_operator.status.types import ConditionType, Phase

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "reference" / "status.md").read_text()
SOURCES = (ROOT / "operator" / "pslgs_operator" / "assessment", ROOT / "operator" / "pslgs_operator")
MAKERS = {"Completion", "ConditionUpdate", "EventSpec", "Problem", "_not_yet"}
TYPES = {"Normal", "Warning"}
"""Of Events."""
PLAIN = {"Accepted", "AsExpected", "NotFinished", "NotSuspended", "Progressing", "Suspending"}
"""Reasons of conditions that are as they should be, or of which the message says all."""


def reasons(source: Path) -> Iterator[str]:
    """Yield the words that a module gives to what makes conditions, problems and Events."""
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in MAKERS:
            continue
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


FOUND = {
    reason
    for folder in SOURCES
    for source in folder.glob("*.py")
    for reason in reasons(source)
    if re.fullmatch(r"[A-Z][A-Za-z]+", reason)
}


def test_reasons_are_found_in_the_code() -> None:
    assert {"WaitingForClients", "NoMatchingNodes", "ClientLost", "TrainingStarted", "Queued"} <= FOUND


@pytest.mark.parametrize("reason", sorted({*FOUND, *hints._WAITING} - TYPES - PLAIN))
def test_each_reason_is_explained(reason: str) -> None:
    assert re.search(rf"\b{reason}\b", DOCUMENT), f"docs/reference/status.md does not explain {reason}"


@pytest.mark.parametrize("word", [*Phase, *ConditionType])
def test_each_phase_and_condition_is_explained(word: str) -> None:
    assert re.search(rf"\b{word}\b", DOCUMENT)
