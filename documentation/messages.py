"""The index of messages: the sentences in the code that refuse input and explain conditions."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_HEADER: Final = """# Messages

<!-- Generated from the code by `make generate`; change it there. -->

Search this page for words of a message; … stands for a value. A message says what is wrong and what to do,
after the field, option or file that it is about. [Troubleshooting](../how-to/troubleshooting.md) begins with
what you see, and [Status of a job](status.md) explains the reasons of conditions. Many messages are composed:
if you do not find yours, search for a few words of it, without names and numbers. Those of other libraries,
and "must be …" for the type or range of a field, are not listed.
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
    "user_code",
    "_refused",
    "problems.append",
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
    for call, words in _calls(folder, _ERRORS):
        *before, message = call.args or [ast.Constant("")]
        about = words.alternatives(before[0])[0] if len(before) == 1 else ""
        for text in words.alternatives(message):
            if _is_sentence(text):
                yield _cell(f"`{about}`" if about.strip("….") else ""), _cell(text)


def _conditions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the reasons of conditions and Events, if they are fixed, and their messages."""
    for call, _ in _calls(folder, _CONDITIONS):
        words = [_Words({}, {}).alternatives(argument)[0] for argument in call.args]
        message = max(words, key=len, default="")
        if _is_sentence(message):
            reasons = [word for word in words if word.isalpha() and word not in {"Normal", "Warning"}]
            yield _cell(reasons[0] if reasons else ""), _cell(message)


def _is_sentence(text: str) -> bool:
    return _says_something(text) and " " in text


def _says_something(text: str) -> bool:
    """Return whether a part of a message, such as a path, has words of its own."""
    return len(_WORD.findall(text)) >= 3


def _calls(folder: Path, makers: set[str]) -> Iterator[tuple[ast.Call, "_Words"]]:
    """Yield the calls of functions that take a message, and what is known of the names in them."""
    for file in sorted(folder.rglob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        functions = (
            each for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        returned = {each.name: _returned(each) for each in functions}
        for part in _parts(module):
            words = _Words({**_assigned(module.body), **_assigned(ast.walk(part))}, returned)
            for node in ast.walk(part):
                if isinstance(node, ast.Call) and makers & {_name(node.func)}:
                    yield node, words


def _parts(module: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module, and the methods of its classes."""
    for statement in module.body:
        yield from statement.body if isinstance(statement, ast.ClassDef) else [statement]


def _assigned(nodes: Iterator[ast.AST] | Sequence[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the values that are given to each name."""
    values: dict[str, list[ast.expr]] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                values.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                values.setdefault(name, []).append(value)
    return values


def _returned(function: ast.AST) -> list[ast.expr]:
    return [each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value]


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="InputError" | "FolderTakenError"), attr=name):
            return name
        case ast.Attribute(value=ast.Attribute(attr=owner), attr=name):
            return f"{owner}.{name}"
    return ""


@dataclass(frozen=True)
class _Words:
    """The texts of the expressions in a function.

    Attributes:
        assigned: Values of the names in it.
        returned: What the functions of its module return, by their names.
    """

    assigned: Mapping[str, Sequence[ast.expr]]
    returned: Mapping[str, Sequence[ast.expr]]

    def alternatives(self, expression: ast.expr, depth: int = 3) -> list[str]:
        """Return the texts that an expression may have, with … for what is known only when it runs."""
        texts = ["…"]
        match expression:
            case ast.Constant(value=str(text)):
                texts = [text]
            case ast.JoinedStr(values=parts):
                texts = self._joined(parts, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                texts = self._joined([left, right], depth)
            case ast.FormattedValue(value=value):
                found = self.alternatives(value, depth)
                texts = [text for text in found if _says_something(text) or text == "…"] or texts
            case ast.IfExp(body=one, orelse=other):
                texts = self._any([one, other], depth)
            case ast.BoolOp(values=values):
                texts = self._any(values, depth)
            case ast.Lambda(body=body):
                texts = self.alternatives(body, depth)
            case ast.Name(id=name) if depth and name in self.assigned:
                texts = self._any(self.assigned[name], depth - 1)
            case ast.Call(func=ast.Name(id=name)) if depth and name in self.returned:
                texts = self._any(self.returned[name], depth - 1)
        return texts

    def _any(self, expressions: Sequence[ast.expr], depth: int) -> list[str]:
        texts = [text for each in expressions for text in self.alternatives(each, depth)]
        return list(dict.fromkeys(texts)) or ["…"]

    def _joined(self, parts: Sequence[ast.expr], depth: int) -> list[str]:
        return ["".join(texts) for texts in product(*(self.alternatives(part, depth) for part in parts))]


def _cell(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")
    return plain.replace("{}", "…").replace("……", "…")
