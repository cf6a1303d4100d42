"""The promise of simulations: what they say of Global is what a distributed run does, to the last bit."""

import json

import pytest
import torch
from safetensors.torch import load_file

from local_runs.runs import described, pslgs_forked, pslgs_here, records, steps, write_manifest
from pslgs.telemetry.records import EvaluationRecord
from simulation.jobs import document

pytestmark = pytest.mark.slow

CLIENTS = 5
"""As few as can hold all classes: each is a process of its own."""


@pytest.mark.parametrize(
    ("compression", "at", "strategy"),
    [("None", "Server", "Global"), ("Int8", "Clients", "Global"), ("None", "Server", "LatentDirichlet")],
    ids=["plain", "compressed, evaluated at clients", "latent dirichlet"],
)
def test_weights_losses_and_evaluations_are_bit_identical(tmp_path, compression, at, strategy):
    manifest = document(transport={"compression": compression})
    manifest["spec"]["data"]["evaluation"]["at"] = at
    manifest["spec"]["data"]["partition"]["clients"] = CLIENTS
    manifest["spec"]["sampling"]["strategy"] = strategy
    name = write_manifest(tmp_path, manifest)
    for command, pslgs in (("run", pslgs_here), ("simulate", pslgs_forked)):
        result = pslgs(command, name, "--output", command, cwd=tmp_path)
        assert result.returncode == 0, described(result, tmp_path / command)
    ran, simulated = steps(tmp_path / "run"), steps(tmp_path / "simulate")
    assert [step.allocation for step in simulated] == [step.allocation for step in ran]
    assert [step.loss for step in simulated] == [step.loss for step in ran]
    assert [step.deviation for step in simulated] == [step.deviation for step in ran]
    for file in ("model.safetensors", "best.safetensors"):
        models = [load_file(tmp_path / command / file) for command in ("run", "simulate")]
        assert models[0].keys() == models[1].keys()
        assert all(torch.equal(tensor, models[1][name]) for name, tensor in models[0].items())
    assert evaluations(tmp_path / "simulate") == evaluations(tmp_path / "run")
    cores = [(tmp_path / command / "machine.json").read_text() for command in ("run", "simulate")]
    assert json.loads(cores[0]) == json.loads(cores[1])


def evaluations(run):
    found = [record for record in records(run) if isinstance(record, EvaluationRecord)]
    assert len(found) == 2
    return [(each.samples, each.metrics, each.details, dict(each.clients)) for each in found]
