"""The server part over several processes equals that of one."""

import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest
import torch

from exactness import job as images
from exactness import small_job
from pslgs.coordination.epoch_position import EpochPosition
from pslgs.training.collectives import row_counts
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.worker_processes import start_workers
from training.server_parts import FEATURES
from training.several_processes import CPU, Batch, model_of, part_spec

pytestmark = pytest.mark.slow
EXACT = {torch.float64: 1e-10, torch.float32: 1e-6}


@pytest.fixture(scope="module", params=[2, 4], ids="{} processes".format)
def workers(request):
    started = start_workers([CPU] * request.param)
    yield started
    started.close()


def copies(model: LocalServerModel) -> dict[str, torch.Tensor]:
    state = model.state()
    groups = {"model": state.model, "optimizer": state.optimizer, **state.more}
    return {
        f"{group}.{name}": each.detach().clone()
        for group, all_ in groups.items()
        for name, each in all_.items()
    }


def assert_close(one: LocalServerModel, other: LocalServerModel) -> None:
    tensors, others = copies(one), copies(other)
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        limit = EXACT.get(tensor.dtype, 0)
        torch.testing.assert_close(others[name], tensor, rtol=limit, atol=limit, msg=name)


def assert_equal(one: LocalServerModel, other: LocalServerModel) -> None:
    tensors, others = copies(one), copies(other)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())


SINGLE = {"architecture": "exactness.small_job:single_network", "options": {"outputs": 3}}
MLP = {
    "architecture": "mlp",
    "options": {"inputs": FEATURES, "hidden": [8, 7, 6], "outputs": 3},
    "cutLayer": "hidden1",
}
CASES = {
    "BatchNorm of vectors": small_job.job_spec(),
    "single precision": small_job.job_spec(model=SINGLE),
    "mlp": small_job.job_spec(model=MLP),
    "BatchNorm of images": images.job_spec("AdamW"),
    "BatchNorm without momentum": part_spec("momentless"),
    "layers that rows choose": part_spec("branch", optimizer={"name": "AdamW", "weightDecay": 0.1}),
    "frozen BatchNorm": small_job.job_spec(model={"freeze": ["norm"]}),
    "weights of classes": small_job.job_spec(lossOptions={"classWeights": [1, 0.01, 7]}),
    "label smoothing": small_job.job_spec(lossOptions={"labelSmoothing": 0.1}),
    "focal loss": small_job.job_spec("binary", lossOptions={"focalGamma": 2, "positiveWeight": 3}),
    "Huber": small_job.job_spec("values", optimizer={"clipNorm": 0.1}),
    "custom loss": small_job.job_spec(
        loss="Custom", lossOptions={"entrypoint": "exactness.small_job:brier"}, optimizer={"clipValue": 0.01}
    ),
    "SGD": small_job.job_spec(optimizer={"momentum": 0.9, "nesterov": True, "weightDecay": 0.1}),
    "Adam": small_job.job_spec(optimizer={"name": "Adam", "clipNorm": 0.5}),
    "RMSprop": small_job.job_spec(optimizer={"name": "RMSprop"}, ema={"decay": 0.5}),
}


def kind_of(spec) -> str:
    return {"BinaryCrossEntropy": "binary", "Huber": "values"}.get(spec.loss, "classes")


@pytest.mark.parametrize("spec", CASES.values(), ids=list(CASES))
def test_steps_and_scores_equal_those_of_one_process(spec, workers):
    shape = (1, 8, 8) if spec.model.architecture.startswith("exactness.double") else (FEATURES,)
    one, several = model_of(spec, shape=shape), model_of(spec, workers, shape)
    limit = EXACT[one._task.layout.dtype]
    for step, rows in enumerate((9, 4, 6, 3, 2, 9), start=1):
        batch = Batch(one, rows, step, kind_of(spec))
        result, other = batch.train(one), batch.train(several)
        assert other.loss == pytest.approx(result.loss, rel=limit)
        torch.testing.assert_close(other.cut_gradient, result.cut_gradient, rtol=limit, atol=limit)
        assert_close(one, several)
        score, other = (each.score(batch.smashed, batch.labels) for each in (one, several))
        assert (other.loss, other.weight) == pytest.approx((score.loss, score.weight), rel=10 * limit)
        assert (other.samples, other.correct) == (score.samples, score.correct)


def test_gradients_are_accumulated_over_batches_as_in_one_process(workers):
    spec = small_job.job_spec(optimizer={"accumulate": 3}, lossOptions={"classWeights": [1, 2, 3]})
    one, several = model_of(spec), model_of(spec, workers)
    for taken, rows in enumerate((9, 5, 7, 3, 8)):
        batch = Batch(one, rows, taken)
        for model in (one, several):
            batch.run(model)
            batch.apply(model, EpochPosition(taken, 5))
        assert_close(one, several)


def test_an_abandoned_attempt_leaves_no_trace(workers):
    spec = small_job.job_spec(optimizer={"name": "AdamW"})
    disturbed = model_of(spec, workers)
    Batch(disturbed, 9, 1).train(disturbed)
    Batch(disturbed, 6, 2).run(disturbed)
    disturbed.abandon()
    Batch(disturbed, 8, 2).train(disturbed)
    undisturbed = model_of(spec, workers)
    Batch(undisturbed, 9, 1).train(undisturbed)
    Batch(undisturbed, 8, 2).train(undisturbed)
    assert_equal(disturbed, undisturbed)


@pytest.mark.parametrize("direction", ["from one to several", "from several to one"])
def test_a_checkpoint_does_not_depend_on_the_number_of_processes(direction, workers):
    spec = small_job.job_spec(optimizer={"name": "AdamW", "accumulate": 2}, ema={"decay": 0.9})
    before, after = (None, workers) if direction == "from one to several" else (workers, None)
    begun = model_of(spec, before)
    for step in (1, 2, 3):
        Batch(begun, 9, step).train(begun)
    continued = model_of(spec, after)
    continued.load_state(begun.state())
    assert_equal(begun, continued)
    expected = model_of(spec)
    for step in (1, 2, 3, 4, 5):
        Batch(expected, 9, step).train(expected)
    for step in (4, 5):
        Batch(continued, 9, step).train(continued)
    assert_close(expected, continued)


def test_other_statistics_are_used_for_a_while(workers):
    one, several = model_of(small_job.job_spec()), model_of(small_job.job_spec(), workers)
    batch = Batch(one, 9)
    own = several.score(batch.smashed, batch.labels).loss
    estimated = one.batch_norm_statistics([batch.smashed])
    with one.using_statistics(estimated), several.using_statistics(estimated):
        losses = [each.score(batch.smashed, batch.labels).loss for each in (one, several)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-10)
    assert losses[1] != own
    assert several.score(batch.smashed, batch.labels).loss == own


def test_dropout_differs_between_processes_and_repeats_itself_to_the_bit(workers):
    results = []
    for _ in range(2):
        model = model_of(part_spec("dropout"), workers)
        batch = Batch(model, 8)
        batch.smashed[:], batch.labels[:] = batch.smashed[0], 0
        results.append((batch.train(model).cut_gradient, copies(model)))
    (gradient, tensors), (again, others) = results
    assert torch.equal(gradient, again)
    assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
    dropped = [tuple(rows.flatten().eq(0).tolist()) for rows in gradient.split(row_counts(8, workers.size))]
    assert len(set(dropped)) == workers.size


def test_bfloat16_comes_close_to_one_process(workers):
    spec = small_job.job_spec(model=SINGLE, precision={"server": "BFloat16"})
    one, several = model_of(spec), model_of(spec, workers)
    batch = Batch(one, 9)
    result, other = batch.train(one), batch.train(several)
    assert other.loss == pytest.approx(result.loss, rel=0.01)
    torch.testing.assert_close(other.cut_gradient, result.cut_gradient, rtol=0.1, atol=0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_is_left_to_the_first(number, workers):
    model = model_of(small_job.job_spec(), workers)
    for child in multiprocessing.active_children():
        os.kill(child.pid, number)
    Batch(model, 9).train(model)


def test_the_processes_can_only_be_reached_from_this_machine(workers):
    inodes = set()
    for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
        inodes |= {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert len(listening) >= workers.size
    assert set(listening) == {"0100007F"}
    assert socket.inet_ntoa(bytes.fromhex("0100007F")[::-1]) == "127.0.0.1"
