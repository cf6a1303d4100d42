"""The paper's settings (arXiv 2407.15738), and what must hold in them."""

import math
from pathlib import Path

import pytest

from pslgs import compare, load_job
from simulation.jobs import paper_labels

EXAMPLES = Path(__file__).parents[2] / "examples"
PAPER = sorted((EXAMPLES / "paper").glob("*.yaml"))
STRATEGIES = ("Global", "FixedProportionalLocal", "FixedLocal")
GLOBAL = (391, 0, 0.21, 0.21)
"""Steps an epoch and their spread, mean deviation, that of the last fifth of an epoch's steps."""


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_manifest_is_called_as_its_file_and_has_the_severe_partition(path):
    job = load_job(path)
    assert job.metadata.name == f"paper-{path.stem}"
    assert (job.spec.data.partition.classes_per_client, job.spec.data.partition.concentration) == (2, 3)


def test_the_paper_is_reproduced_with_the_network_and_optimizer_of_the_example():
    paper, example = (load_job(EXAMPLES / name).spec for name in ("paper/cifar10.yaml", "cifar10.yaml"))
    assert (paper.model, paper.optimizer, paper.sampling) == (
        example.model,
        example.optimizer,
        example.sampling,
    )
    assert (paper.epochs, paper.data.transforms) == (100, example.data.transforms)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partition", "proportional", "fixed"),
    [
        ("mild", (422, 7, 0.24, 0.43), (565, 25, 0.39, 0.91)),
        ("severe", (422, 7, 0.23, 0.57), (664, 86, 0.54, 1.32)),
    ],
    ids=["mild", "severe"],
)
def test_the_reference_table_is_reproduced_over_ten_partitions(tmp_path, partition, proportional, fixed):
    """Epochs are as long as their last client needs: the lengths of ten partitions spread widely."""
    reference = dict(zip(STRATEGIES, (GLOBAL, proportional, fixed), strict=True))
    comparison = compare(
        paper_labels(tmp_path),
        strategies=STRATEGIES,
        seeds=range(10),
        clients=16,
        partition=partition,
        schedule_only=True,
    )
    for row in comparison.rows():
        steps, spread, deviation, at_end = reference[row.strategy]
        error = math.hypot(row.steps_per_epoch.deviation, spread) / math.sqrt(10)
        assert row.steps_per_epoch.mean == pytest.approx(steps, abs=0.5 + 3 * error)
        assert row.deviation.mean == pytest.approx(deviation, abs=0.05)
        assert row.deviation_at_end.mean == pytest.approx(at_end, abs=0.2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_skewed_digits_global_sampling_ends_within_a_point_of_pooled_data():
    job = load_job(EXAMPLES / "paper/digits.yaml")
    pooled, allocated = compare(job, strategies=["Centralized", "Global"], seeds=3, jobs=2).rows()
    assert allocated.accuracy.mean == pytest.approx(pooled.accuracy.mean, abs=0.01)
    assert pooled.accuracy.mean > 0.95
