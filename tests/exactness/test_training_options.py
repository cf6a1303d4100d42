"""Every option of a training gives what a plain loop of PyTorch gives over the same batches."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from exactness.plain_loop import plain_loop
from exactness.runs import datasets_of, train
from exactness.small_job import WEIGHTS, job_spec, write_weights
from pslgs.training.checkpoint import CheckpointStore


@pytest.fixture(autouse=True)
def _weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_weights()


class Option(NamedTuple):
    """Settings of a job, and the kind of labels that they are for."""

    name: str
    spec: dict[str, Any]
    kind: str = "classes"


def loss(**options: Any) -> dict[str, Any]:
    return {"lossOptions": options}


def own(function: str, **options: Any) -> dict[str, Any]:
    return {"loss": "Custom", "lossOptions": {"entrypoint": f"exactness.small_job:{function}"} | options}


LOSSES = [
    Option("cross entropy", {}),
    Option("smoothed labels", loss(labelSmoothing=0.1)),
    Option("weights of classes", loss(classWeights=[0.5, 1, 4])),
    Option("balanced classes", loss(classWeighting="Balanced")),
    Option("balanced and smoothed", loss(classWeighting="Balanced", labelSmoothing=0.2)),
    Option("focal", loss(focalGamma=2)),
    Option("weighted focal", loss(focalGamma=0.5, classWeights=[0.5, 1, 4])),
    Option("own loss of classes", own("brier")),
    Option("binary", {}, "binary"),
    Option("positive weight", loss(positiveWeight=3), "binary"),
    Option("balanced binary", loss(classWeighting="Balanced"), "binary"),
    Option("binary focal", loss(focalGamma=1.5), "binary"),
    Option("Huber", loss(delta=0.7), "values"),
    Option("squared error", {"loss": "MeanSquaredError"}, "values"),
    Option("own loss of values", own("log_cosh", labels="Values"), "values"),
]


def optimizer(**settings: Any) -> dict[str, Any]:
    return {"optimizer": settings}


def schedule(**settings: Any) -> dict[str, Any]:
    return {"optimizer": {"schedule": settings}}


OPTIMIZERS = [
    Option("SGD with Nesterov's momentum", optimizer(nesterov=True, weightDecay=0.01)),
    Option("Adam", optimizer(name="Adam", weightDecay=0.01)),
    Option("AdamW", optimizer(name="AdamW", betas=[0.8, 0.99], weightDecay=0.1)),
    Option("RMSprop", optimizer(name="RMSprop", learningRate=0.01, weightDecay=0.01)),
    Option("RMSprop without momentum", optimizer(name="RMSprop", momentum=0, alpha=0.9)),
    Option("clipped norm", optimizer(clipNorm=0.2)),
    Option("clipped values", optimizer(clipValue=0.05)),
]
SCHEDULES = [
    Option("Cosine", schedule(name="Cosine")),
    Option("Step", schedule(name="Step", everyEpochs=1, factor=0.5)),
    Option("OneCycle", schedule(name="OneCycle")),
    Option("OneCycle with another rise", schedule(name="OneCycle", warmupEpochs=1)),
    Option("warm-up", schedule(warmupEpochs=0.5)),
    Option("warm-up before Cosine", schedule(name="Cosine", warmupEpochs=1)),
    Option("a fraction before Cosine", schedule(name="Cosine", warmupEpochs=1.25)),
    Option("warm-up before Step", schedule(name="Step", everyEpochs=1, warmupEpochs=1)),
    Option("ReduceOnPlateau", schedule(name="ReduceOnPlateau", patience=0)),
]

AVERAGES = [Option("averaged weights", {"ema": {"decay": 0.8}})]
ACCUMULATION = [
    Option("two batches a step", optimizer(accumulate=2)),
    Option("three", optimizer(accumulate=3)),
]

FLOAT32 = {
    "model": {
        "architecture": "exactness.small_job:single_network",
        "options": {"outputs": 3},
        "cutLayer": "act",
    }
}
PRECISIONS = [
    Option(f"bfloat16 of the {part}", {"precision": {part: "BFloat16"}} | FLOAT32)
    for part in ("client", "server")
]


def frozen(*names: str) -> dict[str, Any]:
    return {"model": {"freeze": names}}


FROZEN = [
    Option("the whole client part frozen", frozen("first")),
    Option("a normalisation frozen", frozen("second", "norm")),
    Option("a bias frozen", frozen("head.bias", "first.weight")),
    Option("the server part frozen", frozen("second", "norm", "head")),
]

PRETRAINED = [
    Option("weights of a file", {"model": {"initialWeights": {"path": WEIGHTS, "except": ["head"]}}})
]
SCALES = [Option("standardised", {"data": {"standardize": "PerFeature"}})]

SINGLE = [*LOSSES, *OPTIMIZERS, *SCHEDULES, *AVERAGES, *ACCUMULATION, *FROZEN, *PRETRAINED, *SCALES]


QUICK = ("cross entropy", "smoothed labels", "binary", "Huber", "averaged weights")
"""The options that `make test-fast` trains with."""


def each(*options: Option) -> pytest.MarkDecorator:
    cases = [
        pytest.param(
            option,
            id=option.name.replace(" ", "-"),
            marks=[] if option.name in QUICK else [pytest.mark.slow],
        )
        for option in options
    ]
    return pytest.mark.parametrize("option", cases)


def covering(factors: Sequence[Sequence[Option]]) -> Iterator[Option]:
    """Yield combinations of one option of each factor, so that each pair of options is in one of them.

    A combination begins with a pair that is in none before it, and each further factor adds the option that
    is new together with most of the others.
    """
    numbered = [[(place, option.name) for option in factor] for place, factor in enumerate(factors)]
    left = {
        pair: None
        for one, other in itertools.combinations(numbered, 2)
        for pair in itertools.product(one, other)
    }
    by_name = {option.name: option for factor in factors for option in factor}
    while left:
        row = dict(next(iter(left)))
        for factor in numbered:
            row.setdefault(factor[0][0], max(factor, key=lambda each: len(left.keys() & pairs(each, row)))[1])
        for each in [*row.items()]:
            for pair in pairs(each, row):
                left.pop(pair, None)
        yield combined([by_name[row[place]] for place in range(len(factors))])


def pairs(one: tuple[int, str], row: dict[int, str]) -> set[tuple[tuple[int, str], tuple[int, str]]]:
    """Return the pairs of an option and those of other factors."""
    return {(min(one, other), max(one, other)) for other in row.items() if other[0] != one[0]}


def combined(options: Sequence[Option]) -> Option:
    spec: dict[str, Any] = {}
    for each in options:
        for field, value in each.spec.items():
            spec[field] = spec.get(field, {}) | value if isinstance(value, dict) else value
    return Option(" ".join(each.name for each in options), spec)


FACTORS = [
    [LOSSES[0], LOSSES[4], LOSSES[6]],
    OPTIMIZERS[:4],
    [Option("constant", {}), SCHEDULES[2], SCHEDULES[5], SCHEDULES[8]],
    [Option("unclipped", {}), *OPTIMIZERS[5:7]],
    [Option("plain", {}), *AVERAGES],
    [Option("singly", {}), *ACCUMULATION],
    [Option("all trained", {}), *FROZEN],
    [Option("random weights", {}), *PRETRAINED],
    [Option("unscaled", {}), *SCALES],
]
PAIRS = list(covering(FACTORS))


def test_each_pair_of_options_is_in_a_combination() -> None:
    combinations = [option.name for option in PAIRS]
    for one, other in itertools.combinations(FACTORS, 2):
        for pair in itertools.product(one, other):
            assert any(all(f" {each.name} " in f" {name} " for each in pair) for name in combinations), pair


@each(*SINGLE, *PAIRS)
def test_a_distributed_training_equals_a_plain_loop(option: Option, tmp_path: Path) -> None:
    spec = job_spec(option.kind, **option.spec)
    datasets = datasets_of(spec, tmp_path)
    distributed = train(spec, datasets)
    assert len(distributed.batches) == 12
    plain = plain_loop(spec, datasets_of(spec, tmp_path, standardized=False), distributed.batches)
    assert distributed.losses == pytest.approx(plain.losses, rel=1e-10, abs=1e-12)
    for name, tensor in distributed.tensors.items():
        torch.testing.assert_close(tensor, plain.tensors[name], rtol=1e-10, atol=1e-10, msg=name)
    assert distributed.evaluations[-1] == pytest.approx(plain.evaluation, rel=1e-10)


@each(LOSSES[3], *OPTIMIZERS, *SCHEDULES, *AVERAGES, *ACCUMULATION, *PRECISIONS, *FROZEN, *PAIRS)
def test_a_resumed_training_ends_with_the_same_bits(option: Option, tmp_path: Path) -> None:
    spec = job_spec(option.kind, checkpoint={"everySteps": 5}, **option.spec)
    datasets, store = datasets_of(spec, tmp_path), CheckpointStore(tmp_path / "checkpoints", keep=1)
    whole, resumed = train(spec, datasets, store), train(spec, datasets, store)
    assert len(resumed.batches) == 7
    assert resumed.losses == whole.losses[5:]
    assert resumed.evaluations == whole.evaluations[1:]
    for name, tensor in resumed.tensors.items():
        assert torch.equal(tensor, whole.tensors[name]), name


@each(*PRECISIONS)
def test_bfloat16_rounds_what_a_part_computes_and_nothing_that_is_trained(
    option: Option, tmp_path: Path
) -> None:
    datasets = datasets_of(job_spec(), tmp_path)
    full, rounded = train(job_spec(**FLOAT32), datasets), train(job_spec(**option.spec), datasets)
    assert rounded.losses[0] != full.losses[0]
    assert rounded.losses == pytest.approx(full.losses, rel=0.05)
    assert rounded.evaluations == pytest.approx(full.evaluations, rel=0.05)
    assert {tensor.dtype for tensor in rounded.tensors.values()} == {torch.float32, torch.int64}
