"""Every reason that a condition or an Event can have has a row in docs/reference/status.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pslgs_operator.assessment import completion, hints
from pslgs_operator.assessment.completion import VERDICTS
from pslgs_operator.parse import pod_warnings
from pslgs_operator.status.types import ConditionType, Phase

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "reference" / "status.md").read_text()
OPERATOR = ROOT / "operator" / "pslgs_operator"
MAKERS = {"Completion", "ConditionUpdate", "EventSpec", "Problem", "_not_yet", "_reason", "_starting"}
TYPES = {"Normal", "Warning"}
"""Of Events."""
TREES = [ast.parse(source.read_text()) for source in OPERATOR.rglob("*.py")]
CONSTANTS = {
    node.targets[0].id if isinstance(node, ast.Assign) else node.target.id: node.value.value
    for tree in TREES
    for node in tree.body
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
}


def words(node: ast.AST) -> Iterator[str]:
    """The texts and the constants of modules that are named in an expression."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
        elif isinstance(each, ast.Name) and isinstance(CONSTANTS.get(each.id), str):
            yield CONSTANTS[each.id]


def reasons(tree: ast.Module) -> Iterator[str]:
    """The words that a module gives to what makes conditions, problems and Events."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS:
            for argument in node.args:
                yield from words(argument)
        elif isinstance(node, ast.FunctionDef) and node.name in MAKERS:
            for each in ast.walk(node):
                if isinstance(each, ast.Return) and each.value is not None:
                    yield from words(each.value)


FOUND = {
    *(word for tree in TREES for word in reasons(tree) if re.fullmatch(r"[A-Z][a-z]+[A-Za-z]+", word)),
    *hints._WAITING,
    *pod_warnings._REASONS,
    *VERDICTS.values(),
    completion._BACKOFF,
} - TYPES


def test_reasons_are_found_in_the_code() -> None:
    assert {"WaitingForClients", "NoMatchingNodes", "TrainingStarted", "Queued", "InvalidSpec"} <= FOUND
    assert {"NameTaken", "Finishing", "StoppedEarly", "BackoffLimitExceeded", "FailedMount"} <= FOUND


@pytest.mark.parametrize("reason", sorted(FOUND))
def test_each_reason_has_a_row(reason: str) -> None:
    assert re.search(rf"^\|[^|]*(\|[^|]*)?\b{reason}\b[^|]*\|", DOCUMENT, re.M), "add it to status.md"


@pytest.mark.parametrize("word", [*Phase, *ConditionType])
def test_each_phase_and_condition_is_explained(word: str) -> None:
    assert re.search(rf"\b{word}\b", DOCUMENT)
