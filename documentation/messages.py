"""The index of messages: the sentences in the code that refuse input and explain conditions."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_HEADER: Final = """# Messages

<!-- Generated from the code by `make generate`; change it there. -->

Search this page for words of a message; … stands for a value. A message says what is wrong and what to do,
after the field, option or file that it is about. [Troubleshooting](../how-to/troubleshooting.md) begins with
what you see, and [Status of a job](status.md) explains the reasons of conditions. Messages whose words depend
on the case, such as those of other libraries, are not listed.
"""
_AREAS: Final[Mapping[str, tuple[str, ...]]] = {
    "The manifest": ("runtime/pslgs/spec",),
    "Data": ("runtime/pslgs/data", "runtime/pslgs/sampling", "runtime/pslgs/model_inputs"),
    "Model, cut layer and weights": ("runtime/pslgs/splitting",),
    "Training and checkpoints": ("runtime/pslgs/training", "runtime/pslgs/server", "runtime/pslgs/client"),
    "Connections and certificates": ("runtime/pslgs/transport", "runtime/pslgs/identity"),
    "Commands": (
        "runtime/pslgs/cli",
        "runtime/pslgs/launch",
        "runtime/pslgs/simulation",
        "runtime/pslgs/comparison",
        "runtime/pslgs/costs",
        "runtime/pslgs/reporting",
    ),
    "Trained models": ("runtime/pslgs/inference",),
}
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_ERRORS: Final = {
    "at",
    "Violation",
    "CheckpointError",
    "JournalError",
    "InvalidColumnError",
    "ComparisonError",
}
_CONDITIONS: Final = {"Problem", "ConditionUpdate", "_not_yet", "EventSpec", "Completion"}


def as_markdown() -> str:
    """Write a table of the messages of each area, and one of those of conditions and Events."""
    parts = [_HEADER]
    for title, folders in _AREAS.items():
        parts.append(_table(title, "about", {row for folder in folders for row in _errors(ROOT / folder)}))
    conditions = set(_conditions(ROOT / "operator" / "pslgs_operator"))
    parts.append(_table("Conditions and Events of a job", "reason", conditions))
    return "\n".join(parts)


def _table(title: str, first: str, rows: set[tuple[str, str]]) -> str:
    head = f"## {title}\n\n| {first} | message |\n| --- | --- |\n"
    return head + "".join(
        f"| {about} | {message} |\n" for about, message in sorted(rows, key=lambda row: row[::-1])
    )


def _errors(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what errors in a folder are about, if that is fixed, and their messages."""
    for call in _calls(folder, _ERRORS):
        words = [_words(argument) for argument in call.args]
        message = words[-1] if words else ""
        if len(_WORD.findall(message)) >= 3:
            about = words[0] if len(words) == 2 else ""
            yield _cell(f"`{about}`" if about.strip("….") else ""), _cell(message)


def _conditions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the reasons of conditions and Events, if they are fixed, and their messages."""
    for call in _calls(folder, _CONDITIONS):
        words = [_words(argument) for argument in call.args]
        message = max(words, key=len, default="")
        if len(_WORD.findall(message)) >= 3:
            reasons = [word for word in words if word.isalpha() and word not in {"Normal", "Warning"}]
            yield _cell(reasons[0] if reasons else ""), _cell(message)


def _calls(folder: Path, makers: set[str]) -> Iterator[ast.Call]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and makers & {_name(node.func)}:
                yield node


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="InputError"), attr=name):
            return name
    return ""


def _words(argument: ast.expr) -> str:
    """Return the text of an argument, with … for what is known only when it runs."""
    match argument:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(_words, values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left) + _words(right)
    return "…"


def _cell(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")
    return plain.replace("……", "…")
