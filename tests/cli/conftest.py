"""Manifest files, and the command line run in the test's own process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pslgs.cli.main import app

MANIFEST = """\
apiVersion: pslgs.dev/v1alpha1
kind: SplitTrainingJob
metadata: {name: digits}
spec:
  model: {architecture: mlp, cutLayer: hidden1}
  data: {train: {format: ScikitLearn, name: digits}}
  epochs: 3
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A file with a valid manifest."""
    path = tmp_path / "job.yaml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def bad_job(tmp_path: Path) -> Path:
    """A file with a manifest that has two violations."""
    path = tmp_path / "bad.yaml"
    path.write_text(MANIFEST.replace("epochs: 3", "epoch: 3"))
    return path


@pytest.fixture
def pslgs() -> Callable[..., Result]:
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])
