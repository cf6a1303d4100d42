import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pslgs.spec import InputError, OptimizerSpec, ScheduleSpec
from pslgs.spec.training import Loss, ScheduleName
from pslgs.training.objective import objective
from pslgs.training.optimizer import learning_rate
from pslgs.training.tensors import SLICE_BYTES, slice_rows


def test_cross_entropy_counts_the_predicted_classes():
    task = objective(Loss.CROSS_ENTROPY, (3,), torch.float32)
    labels = task.as_labels(torch.tensor([2, 0]))
    outputs = torch.tensor([[0.0, 0.0, 5.0], [0.0, 5.0, 0.0]])
    assert task.correct(outputs, labels) == 1
    assert task.class_counts(labels) == [1, 0, 1]
    assert task.mean_loss(outputs, labels) == pytest.approx((math.log(1 + 2 * math.exp(-5)) * 2 + 5) / 2)


def test_mean_squared_error_has_no_classes():
    task = objective(Loss.MEAN_SQUARED_ERROR, (2,), torch.float64)
    labels = task.as_labels(torch.tensor([[1.0, 2.0]]))
    assert labels.dtype is torch.float64
    assert task.mean_loss(torch.tensor([[1.0, 0.0]], dtype=torch.float64), labels) == 2
    assert (task.classes, task.class_counts(labels), task.correct(labels, labels)) == (None, [], None)


@pytest.mark.parametrize("output_shape", [(), (1,)], ids=["a number", "a vector of one"])
def test_one_binary_output_stands_for_two_classes(output_shape):
    task = objective(Loss.BINARY_CROSS_ENTROPY, output_shape, torch.float32)
    labels = task.as_labels(torch.tensor([1, 0, 1]))
    outputs = torch.tensor([3.0, 3.0, -3.0]).reshape(3, *output_shape)
    assert task.classes == 2
    assert task.class_counts(labels) == [1, 2]
    assert task.correct(outputs, labels) == 1
    assert task.mean_loss(outputs, labels) == pytest.approx((math.log1p(math.exp(-3)) * 3 + 6) / 3)


@pytest.mark.parametrize(
    ("loss", "shape", "labels", "words"),
    [
        (Loss.CROSS_ENTROPY, (3,), [[3]], "has the label 3"),
        (Loss.CROSS_ENTROPY, (3,), [[-1]], "has the label -1"),
        (Loss.BINARY_CROSS_ENTROPY, (1,), [[2.0]], "has the label 2"),
        (Loss.MEAN_SQUARED_ERROR, (1,), [[math.nan]], "not finite"),
        (Loss.MEAN_SQUARED_ERROR, (2,), [[1.0]], "has 1 targets per sample"),
    ],
    ids=["beyond the classes", "negative", "not binary", "not finite", "too few targets"],
)
def test_labels_that_do_not_fit_are_named(loss, shape, labels, words):
    assert words in (objective(loss, shape, torch.float32).violation(torch.tensor(labels)) or "")


@pytest.mark.parametrize("shape", [(), (1,), (3, 4)], ids=str)
def test_cross_entropy_needs_one_output_a_class(shape):
    with pytest.raises(InputError, match=r"spec\.loss"):
        objective(Loss.CROSS_ENTROPY, shape, torch.float32)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        (ScheduleName.CONSTANT, [1.0, 1.0, 1.0, 1.0]),
        (ScheduleName.COSINE, [1.0, 0.8535534, 0.5, 0.1464466]),
        (ScheduleName.STEP, [1.0, 1.0, 0.1, 0.1]),
    ],
    ids=str,
)
def test_the_learning_rate_follows_its_schedule(name, rates):
    schedule = ScheduleSpec(name=name, every_epochs=2, factor=0.1)
    spec = OptimizerSpec(learning_rate=1.0, schedule=schedule)
    assert [learning_rate(spec, epoch, 4) for epoch in (1, 2, 3, 4)] == pytest.approx(rates)


@given(st.integers(0, 5_000), st.integers(0, 10_000_000))
def test_slices_cover_a_local_batch_in_order_and_stay_small(samples, bytes_per_sample):
    slices = slice_rows(samples, bytes_per_sample)
    assert [row for first, rows in slices for row in range(first, first + rows)] == list(range(samples))
    assert all(rows == 1 or rows * bytes_per_sample <= SLICE_BYTES for _, rows in slices)
