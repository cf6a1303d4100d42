"""A job that is planned without data, links and machines that make it cheap, and the command line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pslgs.cli.main import app
from pslgs.costs.inputs import Environment
from pslgs.costs.plan import plan
from pslgs.costs.result import Plan
from pslgs.costs.time_model import Link
from pslgs.spec import parse_job

EXAMPLES = Path(__file__).parents[2] / "examples"

OUTLOOK = Environment(
    Link.symmetric(bandwidth=1e12, latency=0.0),
    client_flops=1e8,
    server_flops=1e9,
    dataset_sizes=(1000,),
    clients=8,
)

Planned = Callable[..., Plan]


def document(**spec) -> dict:
    """A small network over 10 classes, that asks for no advice."""
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "planned"},
        "spec": {
            "model": {
                "architecture": "mlp",
                "options": {"inputs": 64, "hidden": [32, 16], "outputs": 10},
                "cutLayer": "hidden1",
            },
            "data": {"train": {"format": "NumPy", "path": "/nowhere/{client}.npz"}},
            "epochs": 1,
        }
        | spec,
    }


@pytest.fixture(scope="session")
def planned() -> Planned:
    """Plan the job with some changes to its spec, given by name, and to the outlook."""

    def make(outlook: dict | None = None, **spec) -> Plan:
        return plan(parse_job(document(**spec)), replace(OUTLOOK, **(outlook or {})))

    return make


@pytest.fixture
def pslgs() -> Callable[..., Result]:
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])
