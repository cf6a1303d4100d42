"""The fields of the manifest: defaults, descriptions, bounds, and a plain schema."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pslgs.spec import (
    Compression,
    DataFormat,
    DataSource,
    EvaluationSource,
    FaultTolerance,
    JobSpec,
    Loss,
    OnLostClient,
    OptimizerName,
    OptimizerSpec,
    SamplingStrategy,
    ScheduleName,
    Split,
    SplitTrainingJob,
    Tls,
    parse_job,
)
from spec.fields import all_fields

FIELDS = dict(all_fields(SplitTrainingJob))


def test_a_short_manifest_gets_the_documented_defaults(manifest: dict[str, Any]) -> None:
    spec = parse_job(manifest).spec
    assert spec.loss is Loss.CROSS_ENTROPY
    assert spec.evaluate_every_epochs == 1
    assert (spec.optimizer.name, spec.optimizer.learning_rate) == (OptimizerName.SGD, 0.01)
    assert (spec.optimizer.momentum, spec.optimizer.weight_decay) == (0.9, 0)
    assert spec.optimizer.schedule.name is ScheduleName.CONSTANT
    assert spec.sampling.strategy is SamplingStrategy.GLOBAL
    assert (spec.sampling.global_batch_size, spec.sampling.seed) == (128, 0)
    assert (spec.checkpoint.every_steps, spec.checkpoint.keep, spec.checkpoint.storage) == (500, 2, None)
    assert (spec.transport.compression, spec.transport.tls) == (Compression.NONE, Tls.MUTUAL)
    assert spec.fault_tolerance.min_available_clients == 1
    assert spec.fault_tolerance.client_timeout_seconds == 30
    assert spec.fault_tolerance.quorum_timeout_seconds == 600
    assert spec.fault_tolerance.on_lost_client is OnLostClient.CONTINUE
    assert (spec.server.gpus, spec.clients.per_node, spec.backoff_limit) == (0, 1, 6)
    assert spec.suspend is False


@pytest.mark.parametrize("empty", ["optimizer", "clients", "data"], ids=str)
def test_a_field_without_a_value_is_as_if_it_were_not_there(empty: str, manifest: dict[str, Any]) -> None:
    if empty == "data":
        manifest["spec"]["data"]["partition"] = None
    else:
        manifest["spec"][empty] = None
    parse_job(manifest)


@pytest.mark.parametrize("path", FIELDS, ids=str)
def test_every_field_is_described_in_a_sentence(path: str) -> None:
    description = FIELDS[path].description or ""
    assert description[:1].isupper() or description.startswith("{")
    assert description.endswith(".")


NUMBERS = [
    path
    for path, field in FIELDS.items()
    if {int, float, bool} & {field.annotation, *get_args(field.annotation)}
]


@pytest.mark.parametrize("path", NUMBERS, ids=str)
@pytest.mark.parametrize("impostor", ["1", "true", 10**30], ids=["text", "text-of-a-truth", "too-large"])
def test_a_number_is_never_taken_from_text_nor_without_bound(path: str, impostor: object) -> None:
    field = FIELDS[path]
    if impostor == 10**30 and float in {field.annotation, *get_args(field.annotation)}:
        impostor = float("inf")
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    with pytest.raises(ValidationError):
        TypeAdapter(kind, config=JobSpec.model_config).validate_python(impostor)


@pytest.mark.parametrize("path", [path for path in FIELDS if path.endswith("Seconds")], ids=str)
def test_every_duration_tells_its_unit(path: str) -> None:
    assert " seconds" in (FIELDS[path].description or "")


def test_only_what_has_no_sensible_default_is_required() -> None:
    required = {path for path, field in FIELDS.items() if field.is_required() and path.startswith("spec.")}
    assert required == {
        "spec.model",
        "spec.model.architecture",
        "spec.model.initialWeights.path",
        "spec.data",
        "spec.data.train",
        "spec.data.train.format",
        "spec.data.evaluation.format",
        "spec.data.evaluation.transforms.name",
        "spec.data.inputs.name",
        "spec.data.inputs.transforms.name",
        "spec.data.transforms.name",
        "spec.data.partition.scheme",
        "spec.data.partition.clients",
        "spec.epochs",
    }


def test_the_schema_is_plain_enough_for_the_api_server() -> None:
    """One type a field: the only unions are with null (optional) and int-or-string."""
    unions = [node for node in nodes(JobSpec.model_json_schema(by_alias=True)) if "anyOf" in node]
    kinds = [{each.get("type", "object") for each in node["anyOf"]} for node in unions]
    assert all("null" in kind and len(kind) == 2 for kind in kinds if kind != {"integer", "string"})
    assert [
        node["x-kubernetes-int-or-string"] for node in unions if "x-kubernetes-int-or-string" in node
    ] == [True]


def test_no_list_of_the_schema_has_fixed_places() -> None:
    assert not [
        node for node in nodes(JobSpec.model_json_schema()) if {"prefixItems", "oneOf", "allOf"} & set(node)
    ]


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def test_a_job_cannot_be_changed(manifest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse_job(manifest).spec.epochs = 7  # type: ignore[misc]  # that it is refused is the point


def test_parts_are_made_by_their_attributes_names_in_code() -> None:
    assert OptimizerSpec(learning_rate=0.5, weight_decay=0.1).learning_rate == 0.5


def test_the_status_and_the_rest_of_the_metadata_are_passed_over(manifest: dict[str, Any]) -> None:
    fetched = {
        **manifest,
        "status": {"phase": "Running"},
        "metadata": {"name": "digits", "uid": "1", "resourceVersion": "2"},
    }
    assert parse_job(fetched) == parse_job(manifest)


def test_arguments_of_a_transform_are_kept_as_written(manifest: dict[str, Any]) -> None:
    manifest["spec"]["data"]["transforms"] = [
        {"name": "RandomCrop", "size": 32, "fill": None, "pad_if_needed": True}
    ]
    (transform,) = parse_job(manifest).spec.data.transforms
    assert transform.name == "RandomCrop"
    assert transform.arguments == {"size": 32, "fill": None, "pad_if_needed": True}


def test_a_function_that_returns_two_parts_needs_no_cut_layer(manifest: dict[str, Any]) -> None:
    manifest["spec"]["model"] = {"architecture": "hospital.networks:encoder"}
    assert parse_job(manifest).spec.model.cut_layer is None


@pytest.mark.parametrize(
    ("kind", "data_format", "split", "chosen"),
    [
        pytest.param(DataSource, DataFormat.SCIKIT_LEARN, None, Split.ALL, id="training-on-scikit-learn"),
        pytest.param(DataSource, DataFormat.TORCHVISION, None, Split.TRAIN, id="training-on-torchvision"),
        pytest.param(
            EvaluationSource, DataFormat.SCIKIT_LEARN, None, Split.TEST, id="evaluation-on-scikit-learn"
        ),
        pytest.param(
            EvaluationSource, DataFormat.TORCHVISION, None, Split.TEST, id="evaluation-on-torchvision"
        ),
        pytest.param(DataSource, DataFormat.TORCHVISION, Split.TEST, Split.TEST, id="as-given"),
    ],
)
def test_a_split_is_chosen_by_format_and_use(
    kind: type[DataSource], data_format: DataFormat, split: Split | None, chosen: Split
) -> None:
    path = "data" if data_format is DataFormat.TORCHVISION else None
    assert kind(format=data_format, name="digits", path=path, split=split).chosen_split is chosen


def test_formats_without_splits_choose_none() -> None:
    assert DataSource(format=DataFormat.NUMPY, path="x.npz").chosen_split is None


@given(clients=st.integers(1, 5000), percentage=st.integers(1, 100))
def test_a_percentage_is_rounded_up_to_whole_clients(clients: int, percentage: int) -> None:
    quorum = FaultTolerance(min_available_clients=f"{percentage}%").quorum(clients)
    assert 1 <= quorum <= clients
    assert quorum * 100 >= percentage * clients > (quorum - 1) * 100


def test_a_number_of_clients_is_taken_as_it_is() -> None:
    assert FaultTolerance(min_available_clients=3).quorum(100) == 3


def test_each_client_may_hold_its_own_evaluation_data(manifest: dict[str, Any]) -> None:
    own = {"format": "NumPy", "path": "/data/{client}/test.npz"}
    manifest["spec"]["data"]["evaluation"] = {"at": "Clients", **own}
    evaluation = parse_job(manifest).spec.data.evaluation
    assert evaluation is not None
    assert evaluation.is_per_client
