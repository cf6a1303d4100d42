"""Whether labels are classes or numbers follows from the loss, and never from how they are stored."""

import numpy as np
import pytest
import torch

from pslgs.data.source import named_labels
from pslgs.spec.loss import Loss
from pslgs.training.dataset_check import label_violation
from pslgs.training.objective import objective

CROSS_ENTROPY, BINARY, SQUARED = Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY, Loss.MEAN_SQUARED_ERROR


def read(values, loss, outputs):
    """Return the labels as the loss gets them, or what is wrong with them."""
    task = objective(loss, (outputs,), torch.float32)
    labels = torch.from_numpy(named_labels(values, None, "spec.data.train").labels)
    return label_violation(task, labels) or task.as_labels(labels).tolist()


CLASSES = [[1], [0], [1]]
VALUES = [[-3.0], [0.0], [250000.0]]


@pytest.mark.parametrize(
    ("values", "loss", "outputs", "labels"),
    [
        pytest.param(np.array([1, 0, 1]), CROSS_ENTROPY, 2, CLASSES, id="numbers"),
        pytest.param(np.array([[1], [0], [1]]), CROSS_ENTROPY, 2, CLASSES, id="a column of numbers"),
        pytest.param(np.array([1, 0, 1], ">i4"), CROSS_ENTROPY, 2, CLASSES, id="big-endian numbers"),
        pytest.param(np.array([1, 0, 1], object), CROSS_ENTROPY, 2, CLASSES, id="objects"),
        pytest.param(np.array([True, False, True]), CROSS_ENTROPY, 2, CLASSES, id="booleans as classes"),
        pytest.param(np.array([1.0, 0.0, 1.0]), CROSS_ENTROPY, 2, CLASSES, id="whole floats"),
        pytest.param(np.array(["b", "a", "b"]), CROSS_ENTROPY, 2, CLASSES, id="text"),
        pytest.param(np.array([b"b", b"a", b"b"]), CROSS_ENTROPY, 2, CLASSES, id="bytes"),
        pytest.param(np.eye(2, dtype=np.int64)[[1, 0, 1]], CROSS_ENTROPY, 2, CLASSES, id="one-hot integers"),
        pytest.param(np.eye(2, dtype=np.float32)[[1, 0, 1]], CROSS_ENTROPY, 2, CLASSES, id="one-hot floats"),
        pytest.param([torch.tensor([i]) for i in (1, 0, 1)], CROSS_ENTROPY, 2, CLASSES, id="tensors"),
        pytest.param(np.array([1, 0, 1]), BINARY, 1, [[1.0], [0.0], [1.0]], id="binary numbers"),
        pytest.param(np.array([True, False, True]), BINARY, 1, [[1.0], [0.0], [1.0]], id="binary booleans"),
        pytest.param(np.array([[1, 1], [0, 1]], np.uint8), BINARY, 2, [[1, 1], [0, 1]], id="many labels"),
        pytest.param(np.array([-3, 0, 250000]), SQUARED, 1, VALUES, id="whole targets"),
        pytest.param(np.array([[-3], [0], [250000]]), SQUARED, 1, VALUES, id="a column of whole targets"),
        pytest.param(np.array([[-3, 2], [0, 7]]), SQUARED, 2, [[-3, 2], [0, 7]], id="rows of targets"),
        pytest.param(np.array([1.5, 0.0]), SQUARED, 1, [[1.5], [0.0]], id="targets"),
    ],
)  # fmt: skip
def test_the_loss_decides_what_labels_are(values, loss, outputs, labels):
    assert read(values, loss, outputs) == labels


@pytest.mark.parametrize(
    ("values", "loss", "outputs", "words"),
    [
        pytest.param([1, 2, 1], CROSS_ENTROPY, 2, "subtract 1 from the labels", id="counted from 1"),
        pytest.param([-74, 1], CROSS_ENTROPY, 2, "the label -74", id="negative class"),
        pytest.param([0.5, 1.0], CROSS_ENTROPY, 2, "needs class numbers; for targets use", id="fraction"),
        pytest.param([[0.5, 0.5]], CROSS_ENTROPY, 2, "a row with a single 1", id="soft targets"),
        pytest.param([[1, 1, 0]], CROSS_ENTROPY, 3, "use BinaryCrossEntropy", id="several classes at once"),
        pytest.param([[0, 0, 1]], CROSS_ENTROPY, 2, "one-hot labels of 3 classes", id="too wide"),
        pytest.param([1, -1], BINARY, 1, "the label -1, but BinaryCrossEntropy needs 0 … 1", id="signs"),
        pytest.param([[1, 2]], SQUARED, 3, "2 targets per sample", id="too few targets"),
    ],
)
def test_labels_that_the_loss_cannot_use_are_refused_with_a_remedy(values, loss, outputs, words):
    assert words in read(np.array(values), loss, outputs)


def test_targets_beyond_float32_are_refused_without_a_warning():
    assert "not finite" in read(np.array([1e300]), SQUARED, 1)
