"""The reference of the Python package: signatures and docstrings of what ``pslgs`` exports, and of results.

The modules are read and not imported, because torch takes seconds.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_RUNTIME: Final = Path(__file__).parents[1] / "runtime"
_HEADER: Final = """# Python functions

<!-- Generated from the code by `make generate`; change it there. -->

The package `pslgs` offers to notebooks and scripts what the commands do; there is a
[notebook](../../examples/pilot.ipynb) that uses it. A manifest is a `SplitTrainingJob`, whose attributes are
the [fields](fields.md) in snake case.

```python
import pslgs

job = pslgs.load_job("job.yaml", ["spec.epochs=5"])
pslgs.plan(job, bandwidth="20Mbps").advice
pslgs.simulate(job, clients=64, partition="severe").steps.table()
pslgs.compare(job, clients=64, partition="severe", profile="lte").table()
pslgs.load_model("runs/job")(inputs)
```
"""
EXPORTED: Final[Mapping[str, str]] = {
    "load_job": "pslgs.spec.manifest",
    "parse_job": "pslgs.spec.manifest",
    "plan": "pslgs.launch.plan_job",
    "simulate": "pslgs.simulation.api",
    "compare": "pslgs.comparison.api",
    "load_model": "pslgs.inference.trained_model",
    "InputError": "pslgs.spec.errors",
}
RESULTS: Final[Mapping[str, str]] = {
    "Plan": "pslgs.costs.result",
    "SimulationResult": "pslgs.simulation.result",
    "Steps": "pslgs.simulation.result",
    "SimulationOptions": "pslgs.simulation.setup",
    "Comparison": "pslgs.comparison.summary",
    "StrategySummary": "pslgs.comparison.summary",
    "TrainedModel": "pslgs.inference.trained_model",
    "Violation": "pslgs.spec.errors",
}
"""Classes of what these functions take and return."""
_PART: Final = re.compile(r"^(?:Args|Attributes|Raises):$")
_ENTRY: Final = re.compile(r"^    (?P<name>[\w, ]+): (?P<text>.*)$")


def as_markdown() -> str:
    """Write a section for each function, and then for each class."""
    sections = [_section(name, home) for name, home in {**EXPORTED, **RESULTS}.items()]
    return "\n".join([_HEADER, *sections])


def _section(name: str, home: str) -> str:
    source = (_RUNTIME / f"{home.replace('.', '/')}.py").read_text(encoding="utf-8")
    node = next(each for each in ast.parse(source).body if getattr(each, "name", None) == name)
    match node:
        case ast.FunctionDef():
            return f"## {name}\n\n```python\n{_signature(node, f'pslgs.{name}')}\n```\n\n{_text(node)}\n"
        case ast.ClassDef():
            return f"## {name}\n\n{_text(node)}\n{''.join(_methods(node))}"
    raise TypeError(f"{home}.{name} is neither a function nor a class")


def _methods(node: ast.ClassDef) -> Iterator[str]:
    """Yield what a class offers beside its attributes."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_") and ast.get_docstring(each):
            is_property = any(ast.unparse(decorator) == "property" for decorator in each.decorator_list)
            named = f"{each.name}: {ast.unparse(each.returns)}" if is_property and each.returns else ""
            yield f"\n```python\n{named or _signature(each, each.name)}\n```\n\n{_text(each)}\n"


def _signature(node: ast.FunctionDef, name: str) -> str:
    """Return the head of a function, an argument in each line if there are many."""
    given = ast.unparse(node.args).split(", ")
    arguments = [each for each in _joined(given) if each not in {"self", "cls"}]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= 100:
        return line
    return f"{name}(\n{''.join(f'    {each},' + chr(10) for each in arguments)}){returns}"


def _joined(parts: list[str]) -> Iterator[str]:
    """Put together what was separated within brackets."""
    pending = ""
    for part in parts:
        pending = f"{pending}, {part}" if pending else part
        if all(pending.count(opening) == pending.count(closing) for opening, closing in ("[]", "()", "{}")):
            yield pending
            pending = ""


def _text(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a docstring as Markdown, its arguments, attributes and errors as lists."""
    lines: list[str] = []
    in_part = False
    for line in inspect.cleandoc(ast.get_docstring(node) or "").splitlines():
        if _PART.match(line):
            in_part = True
            lines += [f"**{line.removesuffix(':')}**", ""]
        elif in_part and (entry := _ENTRY.match(line)):
            lines.append(f"- `{entry['name']}`: {entry['text']}")
        else:
            in_part = in_part and (not line or line.startswith(" "))
            lines.append(f"  {line.strip()}" if in_part and line else line)
    return "\n".join(lines)
