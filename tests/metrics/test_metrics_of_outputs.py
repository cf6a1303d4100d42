"""Metrics of random outputs equal those of scikit-learn, and those that are undefined are None."""

import warnings

import numpy as np
import pytest
import torch

from pslgs.spec.loss import LabelKind, Loss, LossOptions
from pslgs.spec.metrics import Metric, metrics_of
from pslgs.training import ranking
from pslgs.training.objective import objective
from pslgs.training.outputs import tally_outputs
from pslgs.training.ranking import Counts, curve
from pslgs.training.tally import MAX_CONFUSED_CLASSES

CE, BCE, MSE = Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY, Loss.MEAN_SQUARED_ERROR


@pytest.fixture(scope="module")
def reference():
    from sklearn import metrics  # noqa: PLC0415 - collecting tests does not need it

    return metrics


def tally(loss, outputs, labels):
    outputs = torch.as_tensor(np.asarray(outputs), dtype=torch.float64)
    made = objective(loss, tuple(outputs.shape[1:]), torch.float64)
    return tally_outputs(made, outputs, made.as_labels(torch.as_tensor(np.asarray(labels))))


def softmax(outputs):
    odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def classes(seed, samples=60, classes=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, classes)).round(1), rng.integers(0, classes, samples)


@pytest.mark.parametrize("seed", range(4), ids="seed {}".format)
def test_metrics_of_classes_are_those_of_scikit_learn(seed, reference):
    outputs, labels = classes(seed)
    found, probabilities = tally(CE, outputs, labels).metrics(), softmax(outputs)
    predicted = outputs.argmax(axis=1)
    onehot = labels[:, None] == np.arange(4)
    macro = reference.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    assert found == pytest.approx(
        {
            Metric.ACCURACY: reference.accuracy_score(labels, predicted),
            Metric.BALANCED_ACCURACY: reference.balanced_accuracy_score(labels, predicted),
            Metric.MACRO_PRECISION: macro[0],
            Metric.MACRO_RECALL: macro[1],
            Metric.MACRO_F1: macro[2],
            Metric.AUROC: reference.roc_auc_score(labels, probabilities, multi_class="ovr"),
            Metric.AVERAGE_PRECISION: reference.average_precision_score(onehot, probabilities),
        },
        abs=1e-9,
    )


@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_the_confusion_matrix_and_the_table_of_classes_are_those_of_scikit_learn(seed, reference):
    outputs, labels = classes(seed, samples=25)
    found, predicted = tally(CE, outputs, labels), outputs.argmax(axis=1)
    assert found.confusion.tolist() == reference.confusion_matrix(labels, predicted, labels=range(4)).tolist()
    expected = reference.precision_recall_fscore_support(labels, predicted, labels=range(4), zero_division=0)
    shown = [(row.precision or 0, row.recall or 0, row.f1 or 0, row.samples) for row in found.figures()]
    assert np.array(shown) == pytest.approx(np.array(expected).T)


@pytest.mark.parametrize("loss", [CE, BCE], ids=["two outputs", "one output"])
def test_two_classes_are_ranked_by_the_odds_of_the_second(loss, reference):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50)
    logits = rng.normal(size=50) + labels
    outputs = logits[:, None] if loss is BCE else np.stack([-logits / 2, logits / 2], axis=1)
    found = tally(loss, outputs, labels).metrics()
    assert found[Metric.AUROC] == pytest.approx(reference.roc_auc_score(labels, logits))
    assert found[Metric.AVERAGE_PRECISION] == pytest.approx(reference.average_precision_score(labels, logits))
    assert found[Metric.ACCURACY] == pytest.approx(reference.accuracy_score(labels, logits > 0))


def test_metrics_of_several_labels_are_those_of_scikit_learn(reference):
    rng = np.random.default_rng(1)
    outputs, labels = rng.normal(size=(40, 3)), rng.integers(0, 2, (40, 3))
    found, predicted = tally(BCE, outputs, labels).metrics(), outputs > 0
    macro = reference.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    assert found == pytest.approx(
        {
            Metric.LABEL_ACCURACY: 1 - reference.hamming_loss(labels, predicted),
            Metric.SUBSET_ACCURACY: reference.accuracy_score(labels, predicted),
            Metric.MACRO_PRECISION: macro[0],
            Metric.MACRO_RECALL: macro[1],
            Metric.MACRO_F1: macro[2],
            Metric.AUROC: reference.roc_auc_score(labels, outputs),
            Metric.AVERAGE_PRECISION: reference.average_precision_score(labels, outputs),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("offset", [0.0, 1e6], ids=["centred", "far from zero"])
def test_metrics_of_values_are_those_of_scikit_learn(offset, reference):
    rng = np.random.default_rng(2)
    labels = offset + rng.normal(size=(30, 2))
    outputs = labels + rng.normal(size=(30, 2)) / 3
    parts = [tally(MSE, outputs[rows], labels[rows]) for rows in (slice(7), slice(7, 8), slice(8, 30))]
    assert (parts[0] + parts[1] + parts[2]).metrics() == pytest.approx(
        {
            Metric.MEAN_ABSOLUTE_ERROR: reference.mean_absolute_error(labels, outputs),
            Metric.ROOT_MEAN_SQUARED_ERROR: reference.mean_squared_error(labels, outputs) ** 0.5,
            Metric.R2: reference.r2_score(labels, outputs),
        }
    )


@pytest.mark.parametrize("outputs", [1, 3, 5], ids="{} outputs".format)
@pytest.mark.parametrize("loss", [CE, BCE, MSE], ids=str)
def test_the_manifest_knows_which_metrics_there_will_be(loss, outputs):
    if loss is CE and outputs == 1:
        outputs = 2
    labels = np.zeros(4, np.int64) if loss is CE else np.zeros((4, outputs))
    found = tally(loss, np.zeros((4, outputs)), labels).metrics()
    assert {Metric.LOSS, *found} == set(metrics_of(loss, LossOptions().labels, outputs=outputs))


def test_a_loss_of_the_user_has_the_metrics_of_its_labels():
    assert Metric.AUROC in metrics_of(Loss.CUSTOM, LabelKind.CLASSES)
    assert Metric.R2 in metrics_of(Loss.CUSTOM, LabelKind.VALUES)


def test_a_missing_class_is_left_out_of_means_of_what_it_does_not_define(reference):
    outputs = np.array([[3.0, 0, 0], [0, 3, 0], [2, 1, 0], [0, 2, 1]])
    labels = np.array([0, 1, 1, 1])
    found = tally(CE, outputs, labels)
    values = found.metrics()
    assert values[Metric.BALANCED_ACCURACY] == pytest.approx((1 + 2 / 3) / 2)
    probabilities = softmax(outputs)
    expected = np.mean([reference.roc_auc_score(labels == each, probabilities[:, each]) for each in (0, 1)])
    assert values[Metric.AUROC] == pytest.approx(expected)
    missing = found.figures()[2]
    assert (missing.samples, missing.recall, missing.precision, missing.auroc) == (0, None, None, None)


def test_samples_of_one_class_have_no_area_and_no_curve():
    values = tally(CE, np.eye(3), np.zeros(3, np.int64)).metrics()
    assert values[Metric.AUROC] is None
    assert values[Metric.AVERAGE_PRECISION] == 1.0
    assert curve(Counts(np.array([3]), np.array([0])), 10) is None


def test_a_sample_with_outputs_that_are_not_finite_is_predicted_as_no_class():
    outputs = np.array([[2.0, 0, 0], [np.nan, 0, 0], [0, 0, np.inf], [0, 1, 0]])
    found = tally(CE, outputs, np.array([0, 0, 2, 1]))
    assert found.metrics()[Metric.ACCURACY] == 0.5
    assert found.confusion.sum() == 2
    assert found.figures()[0].recall == 0.5


@pytest.mark.parametrize(
    ("loss", "labels"),
    [(CE, np.zeros(2, np.int64)), (BCE, np.zeros((2, 3))), (MSE, np.zeros((2, 3)))],
    ids=["classes", "labels", "values"],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_outputs_of_which_none_is_finite_raise_nothing(loss, labels, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tally(loss, np.full((2, 3), value), labels)
        values = (found + found).metrics()
    assert values.get(Metric.AUROC) is None
    assert not values.get(Metric.ACCURACY)
    assert not values.get(Metric.SUBSET_ACCURACY)
    assert not np.isfinite(values.get(Metric.MEAN_ABSOLUTE_ERROR, np.nan))


def test_labels_that_do_not_differ_have_no_r2():
    assert tally(MSE, [[1.0], [2.0]], [[3.0], [3.0]]).metrics()[Metric.R2] is None


def test_counts_of_parts_add_up_to_those_of_all_samples():
    outputs, labels = classes(5)
    parts = [tally(CE, outputs[first : first + 9], labels[first : first + 9]) for first in range(0, 60, 9)]
    total, whole = sum(parts[1:], parts[0]), tally(CE, outputs, labels)
    assert total.metrics() == whole.metrics()
    assert (total.confusion == whole.confusion).all()


def test_scores_beyond_the_limit_are_counted_in_bins_and_hardly_change_the_areas(monkeypatch):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 3000)
    outputs = rng.normal(size=(3000, 3)) + np.eye(3)[labels]
    exact = tally(CE, outputs, labels).metrics()
    monkeypatch.setattr(ranking, "KEPT_SCORES", 2000)
    parts = [
        tally(CE, outputs[first : first + 500], labels[first : first + 500]) for first in range(0, 3000, 500)
    ]
    binned = sum(parts[1:], parts[0])
    assert not binned.scores.kept
    assert binned.metrics() == pytest.approx(exact, abs=2e-3)


def test_many_classes_have_neither_a_matrix_nor_areas():
    many = MAX_CONFUSED_CLASSES + 1
    found = tally(CE, np.eye(many), np.arange(many))
    assert found.confusion is None
    assert found.metrics()[Metric.AUROC] is None
    assert found.metrics()[Metric.MACRO_F1] == 1.0


def test_curves_keep_their_ends_and_have_few_points(reference):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 5000)
    scores = rng.normal(size=5000) + labels
    order = np.argsort(-scores)
    found = curve(Counts(labels[order], 1 - labels[order]), 100)
    assert len(found.recall) <= 100
    assert (found.false_positive_rate[0], found.recall[0]) == (0, 0)
    assert (found.false_positive_rate[-1], found.recall[-1]) == (1, 1)
    area = np.trapezoid(found.recall, found.false_positive_rate)
    assert area == pytest.approx(reference.roc_auc_score(labels, scores), abs=2e-3)
    assert found.precision[-1] == pytest.approx(labels.mean())
