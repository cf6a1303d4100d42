"""What may change when a training goes on, and how a change of what may not is told."""

import json
from typing import Any

import pytest

from pslgs.spec import parse_job
from pslgs.spec.definition import DEFINING_FIELDS, definition_changes, epochs_violation, training_definition
from pslgs.spec.job import JobSpec
from pslgs.spec.manifest import with_overrides

TRANSFORMS = "spec.data.transforms=[{name: ToImage}, {name: Pad, padding: 4}]"


def spec(manifest: dict[str, Any], *settings: str) -> JobSpec:
    return parse_job(with_overrides(manifest, settings)).spec


def changes(manifest: dict[str, Any], before: tuple[str, ...], now: tuple[str, ...]) -> list[str]:
    kept = json.loads(json.dumps(training_definition(spec(manifest, *before))))
    return [str(violation) for violation in definition_changes(kept, spec(manifest, *now))]


def test_initial_weights_of_an_earlier_version_are_their_path(manifest: dict[str, Any]) -> None:
    now = spec(manifest, "spec.model.initialWeights={path: a.pth, except: [fc]}")
    kept = training_definition(now)
    earlier = {**kept, "model": {**kept["model"], "initialWeights": "a.pth"}}
    (change,) = definition_changes(earlier, now)
    assert str(change).startswith("spec.model.initialWeights.except: was not set")
    plain = spec(manifest, "spec.model.initialWeights=a.pth")
    assert definition_changes(earlier, plain) == []


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("spec.optimizer.name=SGD", "spec.optimizer.name=Adam", 'optimizer.name: was "SGD" {}"Adam";'),
        (
            "spec.optimizer.momentum=0.5",
            "spec.optimizer.momentum=0.9",
            "optimizer.momentum: was 0.5 {}0.9;",
        ),
        (
            "spec.optimizer.learningRate=1",
            "spec.optimizer.learningRate=2",
            "optimizer.learningRate: was 1.0 {}2.0;",
        ),
        (
            "spec.optimizer.schedule={}",
            "spec.optimizer.schedule={name: Step}",
            'optimizer.schedule.name: was "Constant" {}"Step";',
        ),
        ("spec.ema={}", "spec.ema.decay=0.9", "ema.decay: was not set {}0.9;"),
        ("spec.precision={}", "spec.precision.server=BFloat16", 'precision.server: was "Full" {}"BFloat16";'),
        (
            "spec.optimizer={}",
            "spec.optimizer={clipNorm: 1}",
            "optimizer.clipNorm: was not set {}1.0;",
        ),
        (
            "spec.lossOptions.labelSmoothing=0.1",
            "spec.lossOptions.labelSmoothing=0.2",
            "lossOptions.labelSmoothing: was 0.1 {}0.2;",
        ),
        (
            "spec.lossOptions={}",
            "spec.lossOptions={classWeights: [1, 2]}",
            "lossOptions.classWeights: was not set {}[1.0, 2.0];",
        ),
        ("spec.sampling.seed=0", "spec.sampling.seed=1", "sampling.seed: was 0 {}1;"),
        ("spec.loss=CrossEntropy", "spec.loss=MeanSquaredError", 'loss: was "CrossEntropy" {}'),
        ("spec.data.train.name=digits", "spec.data.train.name=iris", 'data.train.name: was "digits" {}'),
        (
            "spec.data.partition=",
            "spec.data.partition={scheme: IID, clients: 2}",
            "data.partition: was not set {}",
        ),
        (
            TRANSFORMS,
            TRANSFORMS.replace("padding: 4", "padding: 5"),
            "data.transforms[1].padding: was 4 {}5;",
        ),
        (
            TRANSFORMS,
            TRANSFORMS.replace("padding: 4", "fill: 4"),
            "data.transforms[1].fill: was not set {}4;",
        ),
        (TRANSFORMS, "spec.data.transforms=[{name: ToImage}]", "data.transforms: was ["),
        (
            "spec.model.options={hidden: [3]}",
            "spec.model.options={hidden: [4]}",
            "model.options.hidden: was [3] {}[4];",
        ),
        ("spec.transport.compression=None", "spec.transport.compression=Int8", "transport.compression: was"),
    ],
    ids=lambda value: value.partition("=")[0] if "=" in value else None,
)
def test_a_changed_field_is_named_with_both_values_and_a_remedy(manifest, before, now, words):
    told = changes(manifest, (before,), (now,))
    assert told[0].startswith("spec." + words.format("when training started and is now "))
    assert all(
        line.endswith("or start a new training (a new job, or another output folder)") for line in told
    )


def test_every_changed_field_has_a_line_of_its_own(manifest):
    told = changes(manifest, (), ("spec.optimizer.momentum=0.5", "spec.sampling.seed=1"))
    assert [line.partition(":")[0] for line in told] == ["spec.optimizer.momentum", "spec.sampling.seed"]


@pytest.mark.parametrize(
    "setting",
    [
        "metadata.name=other",
        "spec.epochs=9",
        "spec.evaluateEveryEpochs=3",
        "spec.data.evaluation={format: ScikitLearn, name: digits, split: Test}",
        "spec.checkpoint.everySteps=7",
        "spec.faultTolerance.clientTimeoutSeconds=5",
        "spec.transport.tls=Disabled",
        "spec.server.gpus=1",
        "spec.clients.perNode=2",
        "spec.activeDeadlineSeconds=5",
    ],
    ids=lambda setting: setting.partition("=")[0],
)
def test_what_does_not_define_the_training_may_change(manifest, setting):
    before = ("spec.data.train.split=Train",) if "evaluation" in setting else ()
    assert changes(manifest, before, (*before, setting)) == []


@pytest.mark.parametrize("name", ["Cosine", "OneCycle"], ids=str)
def test_a_schedule_over_all_epochs_fixes_their_number(manifest, name):
    schedule = f"spec.optimizer.schedule.name={name}"
    (told,) = changes(manifest, (schedule,), (schedule, "spec.epochs=9"))
    assert told.startswith("spec.epochs: was 3 when training started and is now 9;")


def test_evaluations_define_a_training_whose_rate_follows_them(manifest):
    rate = "spec.optimizer.schedule.name=ReduceOnPlateau"
    evaluation = "spec.data.evaluation={format: NumPy, path: /test.npz}"
    (told,) = changes(manifest, (evaluation, rate), (evaluation, rate, "spec.evaluateEveryEpochs=2"))
    assert told.startswith("spec.evaluateEveryEpochs: was 1 when training started and is now 2;")
    (told,) = changes(manifest, (evaluation, rate), (evaluation.replace("test", "other"), rate))
    assert told.startswith("spec.data.evaluation.path: was")
    (told,) = changes(manifest, (evaluation, rate), (evaluation, rate, "spec.metric=AUROC"))
    assert told.startswith('spec.metric: was not set when training started and is now "AUROC";')
    assert changes(manifest, (evaluation,), (evaluation, "spec.metric=AUROC")) == []


def test_a_default_written_out_is_no_change(manifest):
    assert changes(manifest, ("spec.optimizer.momentum=0.9",), ()) == []


def test_a_field_that_an_earlier_version_did_not_have_counts_as_its_default(manifest):
    kept = training_definition(spec(manifest))
    del kept["optimizer"]["momentum"]
    assert definition_changes(kept, spec(manifest)) == []
    (changed,) = definition_changes(kept, spec(manifest, "spec.optimizer.momentum=0.5"))
    assert changed.path == "spec.optimizer.momentum"


def test_a_long_value_is_cut(manifest):
    names = ", ".join(f"class-{index:03}" for index in range(500))
    train = f"spec.data.train={{format: ImageFolder, path: /data, classes: [{names}]}}"
    (told,) = changes(manifest, (train,), (train.replace("class-499", "other"),))
    assert len(told) < 500


@pytest.mark.parametrize(("epochs", "trained", "refused"), [(3, 3, False), (3, 4, True), (9, 4, False)])
def test_fewer_epochs_than_are_trained_are_refused(manifest, epochs, trained, refused):
    violation = epochs_violation(spec(manifest, f"spec.epochs={epochs}"), trained, 540)
    assert (violation is not None) is refused
    if violation:
        assert violation.path == "spec.epochs"
        assert "is 3, but 4 epochs have been trained or begun (step 540)" in violation.problem


def test_the_fields_are_those_of_the_manifest(manifest):
    defined = training_definition(spec(manifest))
    for path in DEFINING_FIELDS:
        value = defined
        for name in path.split("."):
            value = value[name]
