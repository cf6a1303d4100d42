"""Whole trainings over real gRPC: evaluations at the clients, and clients that are lost meanwhile."""

import shutil
from pathlib import Path

import pytest
import torch

from exactness import several_inputs
from exactness.plain_loop import plain_loop
from exactness.runs import datasets_of
from exactness.small_job import CLIENTS, write_weights
from exactness.test_training_options import PAIRS
from pslgs.telemetry.records import AbortRecord, ClientRecord, EvaluationRecord, FinishRecord, StepRecord
from transport.whole_training import LOST, Loss, Training, train_job_over_grpc, train_over_grpc

AT_CLIENTS = {
    "evaluation": {
        "format": "Custom",
        "entrypoint": "exactness.small_job:Samples",
        "options": {"kind": "classes", "seed": 4},
        "at": "Clients",
    }
}
REST = [name for name in CLIENTS if name != LOST]


def assert_equals_a_plain_loop(training: Training, folder: Path, *, at_its_rates: bool = False) -> None:
    """Compare with a loop of PyTorch over the batches of the committed steps, and perhaps at their rates.

    A lost client changes the length of schedules that are as long as the training: there are fewer steps.
    """
    at_server = training.spec.model_copy(update={"data": at_the_server(training)})
    opened = datasets_of(at_server, folder / "cache", standardized=False)
    rates = [step.learning_rate for step in training.of(StepRecord)] if at_its_rates else None
    plain = plain_loop(training.spec, opened, training.batches, rates)
    assert [step.loss for step in training.of(StepRecord)] == pytest.approx(plain.losses, rel=1e-10)
    for name, tensor in training.tensors.items():
        torch.testing.assert_close(tensor, plain.tensors[name], rtol=1e-10, atol=1e-10, msg=name)
    evaluation = training.of(EvaluationRecord)[-1]
    assert evaluation.missing or evaluation.loss == pytest.approx(plain.evaluation, rel=1e-10)


def at_the_server(training: Training):
    data = training.spec.data
    return data.model_copy(update={"evaluation": data.evaluation.model_copy(update={"at": "Server"})})


async def test_evaluations_begin_with_averaged_weights_and_lower_the_learning_rate(tmp_path):
    options = {
        "ema": {"decay": 0.8},
        "optimizer": {
            "schedule": {"name": "ReduceOnPlateau", "patience": 0, "factor": 0.5},
            "learningRate": 0.9,
        },
        "data": AT_CLIENTS,
        "epochs": 4,
    }
    training = await train_over_grpc(tmp_path, **options)
    assert_equals_a_plain_loop(training, tmp_path)
    rates = [step.learning_rate for step in training.of(StepRecord)]
    assert min(rates) < max(rates)
    for each in training.of(EvaluationRecord):
        assert list(each.clients) == list(CLIENTS)
        assert each.missing == ()


@pytest.mark.slow
async def test_a_client_that_is_lost_within_its_evaluation_is_missing_there_only(
    tmp_path,
):
    whole = await train_over_grpc(tmp_path / "whole", data=AT_CLIENTS)
    training = await train_over_grpc(tmp_path / "lost", Loss("evaluate", 3), data=AT_CLIENTS)
    first, second, _ = training.of(EvaluationRecord)
    undisturbed = whole.of(EvaluationRecord)
    assert (first.loss, first.clients) == (undisturbed[0].loss, undisturbed[0].clients)
    assert (second.missing, list(second.clients)) == ((LOST,), REST)
    assert all(second.clients[name] == undisturbed[1].clients[name] for name in REST)
    assert second.samples == sum(undisturbed[1].clients[name].samples for name in REST)
    assert [each.client for each in training.of(ClientRecord) if each.change == "lost"] == [LOST]
    assert training.of(AbortRecord) == []
    assert [set(batch) for epoch, batch in training.batches if epoch == 3] == [set(REST)] * 3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forward", "backward"])
async def test_a_client_that_is_lost_within_an_accumulation_was_not_there_from_that_batch_on(
    method, tmp_path
):
    accumulate = {"optimizer": {"accumulate": 3}}
    training = await train_over_grpc(tmp_path, Loss(method, 5), **accumulate)
    (aborted,) = training.of(AbortRecord)
    assert (aborted.epoch, aborted.step) == (2, 6)  # of the steps 5, 6 and 7, which are accumulated
    active = [LOST in batch for _, batch in training.batches]
    assert active == [True] * 5 + [False] * (len(active) - 5)
    assert_equals_a_plain_loop(training, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("option", [pytest.param(each, id=each.name) for each in PAIRS])
async def test_with_all_options_together_a_lost_client_leaves_no_trace(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_weights()
    training = await train_over_grpc(tmp_path, Loss("backward", 5), kind=option.kind, **option.spec)
    active = [LOST in batch for _, batch in training.batches]
    assert active == [True] * 5 + [False] * (len(active) - 5)
    assert_equals_a_plain_loop(training, tmp_path, at_its_rates=True)


async def test_inputs_travel_by_name_and_are_standardised_over_all_clients(tmp_path):
    spec = several_inputs.job_spec("people", image={"mayLeaveSite": True})
    training = await train_job_over_grpc(tmp_path, spec)
    datasets = datasets_of(spec, tmp_path / "cache")
    model, losses = several_inputs.plain_loop(spec, datasets, training.batches)
    assert [step.loss for step in training.of(StepRecord)] == pytest.approx(losses, rel=1e-10)
    expected = model.state_dict()
    for name, tensor in training.tensors.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.slow
async def test_a_training_that_stopped_early_ends_there_however_it_is_resumed(tmp_path):
    options = {
        "epochs": 8,
        "metric": "Accuracy",
        "earlyStopping": {"patience": 2},
        "optimizer": {"learningRate": 3.0},
        "checkpoint": {"everySteps": 4, "keep": 8},
    }
    whole = await train_over_grpc(tmp_path / "whole", **options)
    (finish,) = whole.of(FinishRecord)
    assert finish.early
    assert finish.message.startswith("stopped early after epoch ")
    killed = shutil.copytree(tmp_path / "whole", tmp_path / "killed") / "run"
    last = sorted((killed / "checkpoints").glob("step-*"))[-1]
    shutil.rmtree(last)  # as if the server had been killed in the last epoch
    (killed / "model.safetensors").unlink()
    for folder in ("whole", "killed"):
        resumed = await train_over_grpc(tmp_path / folder, **options)
        assert resumed.of(FinishRecord)[-1].message == finish.message
        assert resumed.batches == whole.batches
        assert all(torch.equal(each, whole.tensors[name]) for name, each in resumed.tensors.items())
