import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pslgs.spec import InputError, LossOptions, OptimizerSpec, ScheduleSpec
from pslgs.spec.loss import Loss
from pslgs.spec.optimizer import ScheduleName
from pslgs.training.objective import check_custom_loss, objective
from pslgs.training.schedule import learning_rate
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


def options(**given):
    return LossOptions.model_validate(given)


def test_weights_of_classes_must_be_as_many_as_the_outputs():
    with pytest.raises(InputError, match=r"classWeights: has 2 weights, but the model has 3 outputs"):
        objective(Loss.CROSS_ENTROPY, (3,), torch.float32, options(classWeights=[1, 2]))


def test_outputs_that_do_not_exclude_each_other_cannot_be_balanced():
    with pytest.raises(InputError, match=r"classWeighting: is Balanced, but the 4 outputs"):
        objective(Loss.BINARY_CROSS_ENTROPY, (4,), torch.float32, options(classWeighting="Balanced"))


def test_a_class_that_nobody_has_at_the_start_weighs_as_much_as_the_rarest():
    task = objective(Loss.CROSS_ENTROPY, (4,), torch.float32, options(classWeighting="Balanced"))
    assert task.balanced([6, 0, 3, 1]).class_weights == pytest.approx((10 / 18, 10 / 3, 10 / 9, 10 / 3))


def test_only_binary_labels_without_any_of_one_class_are_left_alone():
    task = objective(Loss.BINARY_CROSS_ENTROPY, (1,), torch.float32, options(classWeighting="Balanced"))
    assert task.balanced([7, 0]).positive_weight == 1


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0], ids=str)
@pytest.mark.parametrize("loss", [Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY], ids=str)
def test_the_focal_loss_of_a_certain_prediction_has_a_finite_gradient(loss, gamma):
    task = objective(loss, (2,), torch.float32, options(focalGamma=gamma))
    outputs = torch.tensor([[200.0, -200.0]], requires_grad=True)
    labels = torch.tensor([[0]]) if loss is Loss.CROSS_ENTROPY else torch.tensor([[1.0, 0.0]])
    task.mean_loss(outputs, labels).backward()
    assert torch.isfinite(outputs.grad).all()


def failing(outputs, labels):
    raise ValueError("no such thing")


def two_numbers(outputs, labels):
    return outputs[0]


def a_float(outputs, labels):
    return 1.0


def constant(outputs, labels):
    return torch.tensor(1.0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("failing", "failed with ValueError: no such thing"),
        ("two_numbers", r"returned a tensor of shape \[2\]; it must return the mean loss"),
        ("a_float", "returned float; it must return the mean loss"),
        ("constant", "does not depend on the outputs"),
        ("missing", "has no function 'missing'"),
    ],
    ids=lambda value: value.split()[0],
)
def test_a_loss_function_that_cannot_be_used_is_refused_before_training(name, words):
    own = options(entrypoint=f"training.test_objectives:{name}")
    with pytest.raises(InputError, match=rf"^spec\.lossOptions\.entrypoint: .*{words}"):
        check_custom_loss(objective(Loss.CUSTOM, (2,), torch.float32, own), torch.float32)


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
    options = {"every_epochs": 2, "factor": 0.1} if name is ScheduleName.STEP else {}
    schedule = ScheduleSpec(name=name, **options)
    spec = OptimizerSpec(learning_rate=1.0, schedule=schedule)
    assert [learning_rate(spec, epoch, 4) for epoch in (1, 2, 3, 4)] == pytest.approx(rates)


@given(st.integers(0, 5_000), st.integers(0, 10_000_000))
def test_slices_cover_a_local_batch_in_order_and_stay_small(samples, bytes_per_sample):
    slices = slice_rows(samples, bytes_per_sample)
    assert [row for first, rows in slices for row in range(first, first + rows)] == list(range(samples))
    assert all(rows == 1 or rows * bytes_per_sample <= SLICE_BYTES for _, rows in slices)
