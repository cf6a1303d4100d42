"""The command ``pslgs``: entry points, version, help and start-up imports."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

Pslgs = Callable[..., Result]


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param([str(Path(sys.executable).with_name("pslgs"))], id="script"),
        pytest.param([sys.executable, "-m", "pslgs.cli"], id="module"),
    ],
)
def test_a_bad_manifest_exits_with_code_2_and_a_line_for_each_violation(
    entry: list[str], bad_job: Path
) -> None:
    command = [*entry, "validate", str(bad_job)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: spec.epochs: is missing; give it (number of passes over the training data)",
        "error: spec.epoch: is unknown; did you mean epochs?",
    ]


def test_starting_the_command_imports_no_slow_modules() -> None:
    code = "import json, sys, pslgs.cli.main; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    slow = {"torch", "torchvision", "grpc", "sklearn", "matplotlib", "pyarrow", "numpy", "rich"}
    assert not slow & set(json.loads(result.stdout))


def test_the_version_is_printed(pslgs: Pslgs) -> None:
    assert pslgs("--version").stdout == f"pslgs {version('pslgs')}\n"


def test_without_arguments_the_help_is_printed(pslgs: Pslgs) -> None:
    assert "validate" in pslgs().output


def test_a_mistyped_command_is_refused_with_a_suggestion(pslgs: Pslgs) -> None:
    result = pslgs("validat")
    assert result.exit_code == 2
    assert "Did you mean 'validate'?" in result.stderr
