"""What a job under faults must have done, by its journal and its model."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from exactness.runs import datasets_of
from pslgs.spec.exit_codes import ExitCode
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import SkippedRecord, StepRecord
from transport.test_trainings_over_grpc import assert_equals_a_plain_loop, at_the_server
from transport.whole_training import Training
from virtual_processes.faults import Scenario, train
from virtual_processes.loop import run
from virtual_processes.network import SERVER


def check(drawn: Scenario, folder: Path) -> Training:
    """Run a job under its faults, and check what it has done."""
    training = trained(drawn, folder / "disturbed")
    spec = training.spec.model_copy(update={"data": at_the_server(training)})
    datasets = datasets_of(spec, folder / "cache", standardized=False)
    audit(training, {name: data.samples for name, data in datasets.training.items()})
    assert_equals_a_plain_loop(training, folder)
    if drawn.is_exact:
        undisturbed = trained(replace(drawn, faults=()), folder / "undisturbed")
        assert training.batches == undisturbed.batches
        for name, tensor in training.tensors.items():
            assert torch.equal(tensor, undisturbed.tensors[name])
    return training


def trained(drawn: Scenario, folder: Path) -> Training:
    """Run a job under its faults; it must finish."""
    folder.mkdir(parents=True)
    job = run(train(drawn, folder))
    ended = job.processes[SERVER].task.result()
    assert ended.exit_code is ExitCode.FINISHED, ended
    return Training(job.spec, load_file(job.run / "model.safetensors"), read(job.run / "metrics.jsonl"))


def audit(training: Training, samples: dict[str, int]) -> None:
    """Check the journal: steps without gaps, and each sample once an epoch or reported as not trained."""
    steps = training.of(StepRecord)
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    used: dict[tuple[int, str], int] = {}
    for step in steps:
        for client, (offset, count) in step.allocation.items():
            assert used.get((step.epoch, client), 0) == offset
            used[step.epoch, client] = offset + count
    skipped = {
        (each.epoch, client): left
        for each in training.of(SkippedRecord)
        for client, left in each.samples.items()
    }
    for epoch in range(1, training.spec.epochs + 1):
        for client, held in samples.items():
            assert used.get((epoch, client), 0) + skipped.get((epoch, client), 0) == held
