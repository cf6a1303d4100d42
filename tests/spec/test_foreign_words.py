"""Words of other libraries are answered with fields and values of the manifest."""

from enum import StrEnum
from itertools import chain

import pytest

from pslgs.spec import InputError, SplitTrainingJob, parse_job
from pslgs.spec.foreign_words import FIELDS, IN_PARTS, VALUES, WITHOUT_FIELD, folded
from pslgs.spec.manifest import with_overrides
from spec.fields import all_fields

PATHS = {path for path, _ in all_fields(SplitTrainingJob)}
IN_THEIR_PARTS = [(part, word, ours) for part, words in IN_PARTS.items() for word, ours in words.items()]


def enums_in(annotation: object) -> set[type[StrEnum]]:
    inner = set(chain.from_iterable(map(enums_in, getattr(annotation, "__args__", ()))))
    return inner | (
        {annotation} if isinstance(annotation, type) and issubclass(annotation, StrEnum) else set()
    )


NAMES = {
    name for _, field in all_fields(SplitTrainingJob) for enum in enums_in(field.annotation) for name in enum
}


def problem(manifest: dict, path: str, value: str = "1") -> str:
    with pytest.raises(InputError) as caught:
        parse_job(with_overrides(manifest, [f"{path}={value}"]))
    return next(each.problem for each in caught.value.violations if each.path == path)


@pytest.mark.parametrize("word", FIELDS, ids=str)
def test_a_foreign_name_leads_to_a_field_and_is_written_as_it_is_looked_up(word: str) -> None:
    assert FIELDS[word].partition(",")[0] in PATHS
    assert folded(word) == word


@pytest.mark.parametrize(("part", "word", "ours"), IN_THEIR_PARTS, ids=str)
def test_a_name_that_means_something_else_in_a_part_leads_to_a_field(part: str, word: str, ours: str) -> None:
    assert part in PATHS
    assert ours.partition(",")[0] in PATHS
    assert folded(word) == word


@pytest.mark.parametrize("word", WITHOUT_FIELD, ids=str)
def test_a_name_without_a_field_is_not_answered_with_one_as_well(word: str) -> None:
    assert folded(word) == word
    assert word not in FIELDS


@pytest.mark.parametrize("word", VALUES, ids=str)
def test_a_foreign_value_leads_to_one_of_ours(word: str) -> None:
    assert any(VALUES[word].startswith(name) for name in NAMES)
    assert folded(word) == word


@pytest.mark.parametrize(
    ("brought", "answer"),
    {
        "spec.lr": "give spec.optimizer.learningRate",
        "spec.batch_size": "give spec.sampling.globalBatchSize",
        "spec.num_epochs": "give spec.epochs",
        "spec.seed": "give spec.sampling.seed",
        "spec.data.seed": "give spec.sampling.seed",
        "spec.device": "give spec.server.gpus, in a cluster",
        "spec.clients.device": "give spec.clients.template",
        "spec.normalize": "give spec.data.transforms, with {name: Normalize",
        "spec.data.normalize": "give spec.data.transforms, with {name: Normalize",
        "spec.data.maxLength": "give spec.data.length",
        "spec.model.max_seq_len": "give spec.data.length",
        "spec.model.pretrained": "give spec.model.initialWeights.path",
        "spec.data.pretrained": "give spec.model.initialWeights.path",
        "spec.model.weights": "give spec.model.initialWeights.path",
        "spec.weights": "give spec.lossOptions.classWeights",
        "spec.model.frozen": "give spec.model.freeze",
        "spec.freeze_layers": "give spec.model.freeze",
        "spec.data.skip_bad": "give spec.data.onDamagedSample",
        "spec.data.num_workers": "not needed: clients load samples in as many threads",
        "spec.shuffle": "not needed: every epoch draws each sample once",
        "spec.drop_last": "not needed",
        "spec.validation": "give spec.data.evaluation",
        "spec.data.val_split": "give spec.data.evaluation, a dataset of its own",
        "spec.data.evaluation.root": "give spec.data.evaluation.path",
        "spec.data.train.root": "give spec.data.train.path",
        "spec.data.train.type": "give spec.data.train.format",
        "spec.model.type": "give spec.model.architecture",
        "spec.optimizer.type": "give spec.optimizer.name",
        "spec.compression": "give spec.transport.compression",
        "spec.clients.image": "give spec.clients.template, as in a pod",
        "spec.server.nodeSelector": "give spec.server.template.spec",
        "spec.num_clients": "give spec.clients.nodeSelector",
        "spec.data.partition.alpha": "give spec.data.partition.concentration",
        "spec.sampling.alpha": "give spec.sampling.latentDirichlet.concentration",
        "spec.local_epochs": "not needed: each global batch is one step",
    }.items(),
    ids=str,
)
def test_a_word_that_people_bring_is_answered(manifest: dict, brought: str, answer: str) -> None:
    settings = ["spec.data.partition={scheme: IID, clients: 2}"] if ".partition." in brought else []
    settings += ["spec.data.evaluation={format: NumPy, path: a.npz}"] if "evaluation." in brought else []
    assert answer in problem(with_overrides(manifest, settings), brought)


@pytest.mark.parametrize("word", ["type", "kind", "size", "alpha"])
def test_a_name_that_many_parts_have_is_not_answered_with_another_part(manifest: dict, word: str) -> None:
    assert "the known fields are" in problem(manifest, f"spec.transport.{word}")


@pytest.mark.parametrize(
    ("path", "value", "answer"),
    [
        ("spec.data.train.format", "npz", "give NumPy"),
        ("spec.transport.compression", "fp16", "give Float16"),
        ("spec.transport.compression", "bf16", "give BFloat16"),
        ("spec.data.onDamagedSample", "ignore", "give Skip"),
        ("spec.data.inputType", "tokens", "give Integer"),
        ("spec.loss", "mse", "give MeanSquaredError"),
        ("spec.precision.client", "float32", "give Full"),
    ],
)
def test_a_value_that_people_bring_is_answered(manifest: dict, path: str, value: str, answer: str) -> None:
    assert answer in problem(manifest, path, value)
