"""Client and server recognise each other's job by a digest of what they must agree on."""

from typing import Any

import pytest

from pslgs.spec import job_digest, parse_job
from pslgs.spec.manifest import with_overrides


def digest(manifest: dict[str, Any], *settings: str) -> bytes:
    return job_digest(parse_job(with_overrides(manifest, settings)).spec)


@pytest.mark.parametrize(
    "setting",
    [
        "spec.model.cutLayer=hidden2",
        "spec.model.options={hidden: [3]}",
        "spec.model.inputShape=[64]",
        "spec.data.transforms=[{name: ToImage}]",
        "spec.data.partition={scheme: IID, clients: 2}",
        "spec.data.classes=[cat, dog]",
        "spec.data.onDamagedSample=Skip",
        "spec.loss=MeanSquaredError",
        "spec.loss=Huber",
        "spec.sampling.seed=1",
        "spec.sampling.strategy=FixedLocal",
        "spec.sampling.globalBatchSize=8",
        "spec.sampling.latentDirichlet.sampleSize=10",
        "spec.sampling.latentDirichlet.concentration=2",
        "spec.sampling.latentDirichlet.delayWeight=0.5",
        "spec.transport.compression=Int8",
        "spec.precision.client=BFloat16",
    ],
    ids=lambda setting: setting.partition("=")[0],
)
def test_another_model_or_seed_is_another_job(setting: str, manifest: dict[str, Any]) -> None:
    assert digest(manifest, setting) != digest(manifest)


@pytest.mark.parametrize(
    "setting",
    [
        "metadata.name=other",
        "spec.epochs=9",
        "spec.data.train.name=iris",
        "spec.faultTolerance.clientTimeoutSeconds=5",
        "spec.optimizer.learningRate=0.5",
        "spec.optimizer.accumulate=2",
        "spec.ema.decay=0.5",
        "spec.precision.server=BFloat16",
        "spec.lossOptions.labelSmoothing=0.5",
    ],
    ids=lambda setting: setting.partition("=")[0],
)
def test_what_only_one_side_reads_may_differ(setting: str, manifest: dict[str, Any]) -> None:
    assert digest(manifest, setting) == digest(manifest)


def test_a_loss_function_on_other_labels_is_another_job(manifest: dict[str, Any]) -> None:
    own = ("spec.loss=Custom", "spec.lossOptions.entrypoint='a.b:c'")
    assert digest(manifest, *own) != digest(manifest, *own, "spec.lossOptions.labels=Values")


def test_initial_weights_of_which_only_the_path_is_given_are_that_path(manifest: dict[str, Any]) -> None:
    path = digest(manifest, "spec.model.initialWeights=/w.safetensors")
    assert digest(manifest, "spec.model.initialWeights={path: /w.safetensors, strict: true}") == path
    assert digest(manifest, "spec.model.initialWeights={path: /w.safetensors, except: [fc]}") != path


def test_the_order_of_classes_is_that_of_the_models_outputs(manifest: dict[str, Any]) -> None:
    one = digest(manifest, "spec.data.classes=[cat, dog]")
    assert one != digest(manifest, "spec.data.classes=[dog, cat]")
    assert one != digest(manifest, "spec.data.classes=[cat, dog, eel]")
    assert one == digest(
        manifest, "spec.data={train: {format: ScikitLearn, name: iris}, classes: [cat, dog]}"
    )


def test_the_names_of_one_dataset_are_no_part_of_the_digest(manifest: dict[str, Any]) -> None:
    """They may differ in how they are written; what they come to is compared when a client joins."""
    assert digest(manifest, "spec.data.train.classes=[cat, dog]") == digest(manifest)


def test_the_order_of_fields_does_not_matter(manifest: dict[str, Any]) -> None:
    one = digest(manifest, "spec.model.options={a: 1, b: 2}")
    assert one == digest(manifest, "spec.model.options={b: 2, a: 1}")


def test_a_default_written_out_is_the_same_job(manifest: dict[str, Any]) -> None:
    assert digest(manifest, "spec.sampling.seed=0", "spec.loss=CrossEntropy") == digest(manifest)


def test_the_digest_stays_the_same_between_versions(manifest: dict[str, Any]) -> None:
    """A server and clients of different versions must not refuse each other for nothing."""
    assert digest(manifest).hex()[:16] == "fa04e8c33e5c2fea"
