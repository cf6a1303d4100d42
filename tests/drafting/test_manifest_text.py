"""The text of a drafted manifest is valid, and says what was found and answered."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypothesis_profiles import scaled
from pslgs.drafting.choices import Answers, Network, checked_classes, suggested_name
from pslgs.drafting.contents import Contents, SampleKind, Site
from pslgs.drafting.manifest_text import manifest_text, scalar
from pslgs.drafting.places import Places
from pslgs.drafting.tables import ColumnKind, Columns, choose_columns
from pslgs.spec import InputError, SplitTrainingJob, parse_job
from pslgs.spec.data import DataFormat
from pslgs.spec.inputs import Layout
from pslgs.spec.manifest import parse_yaml

PLACES = Places(DataFormat.IMAGE_FOLDER, "data/{client}/train", "data/{client}/test", ("a", "b"))
SITES = (Site("a", 20, {"cat": 15, "dog": 5}), Site("b", 10, {"dog": 10}))
IMAGES = Contents(SampleKind.IMAGE, (3, 32, 32), 1, SITES, ("cat", "dog"), has_names=True)
CNN = Network("cnn", {"channels": 3, "classes": 2}, ("conv1", "head"))
ANSWERS = Answers("pets", CNN, "conv1", ("cat", "dog"))

TABLE = Contents(
    SampleKind.FEATURES,
    (2,),
    1,
    (Site("", 500, {}),),
    columns=Columns("y", ("age", "a 1"), ColumnKind.NUMBERS, ("id",)),
)
MLP = Network("mlp", {"inputs": 2, "hidden": [4], "outputs": 1}, ("hidden1", "output"))


def parsed(text: str) -> SplitTrainingJob:
    return parse_job(parse_yaml(text, "job.yaml"))


def test_images_of_clients_become_a_job() -> None:
    text = manifest_text(PLACES, IMAGES, ANSWERS)
    spec = parsed(text).spec
    assert (spec.model.architecture, spec.model.cut_layer) == ("cnn", "conv1")
    assert (spec.data.train.path, spec.data.classes) == ("data/{client}/train", ("cat", "dog"))
    assert spec.data.evaluation is not None
    assert (spec.data.evaluation.at, spec.data.evaluation.path) == ("Clients", "data/{client}/test")
    assert "# a: 20 samples (cat 15, dog 5)" in text


def test_a_table_for_all_becomes_a_regression_that_is_divided() -> None:
    places = Places(DataFormat.CSV, "data/*.csv", "data/test.csv")
    text = manifest_text(places, TABLE, Answers("ages", MLP, "hidden1", partition=3), epochs=7)
    spec = parsed(text).spec
    assert (spec.loss, spec.epochs, spec.data.standardize) == ("MeanSquaredError", 7, "PerFeature")
    assert (spec.data.train.input_columns, spec.data.train.label_column) == (("age", "a 1"), "y")
    assert spec.data.partition is not None
    assert spec.data.partition.clients == 3
    assert spec.data.evaluation is not None
    assert spec.data.evaluation.at == "Server"
    assert "# columns that are not read: id" in text


PARQUET = Places(DataFormat.PARQUET, "data/{client}.parquet", None, ("a", "b"))


def test_tokens_and_layouts_are_declared() -> None:
    tokens = Contents(
        SampleKind.TOKENS,
        (16,),
        1,
        SITES,
        ("0", "1"),
        columns=Columns("topic", ("words",), ColumnKind.INTEGER_LISTS),
        tokens=40,
        length=16,
    )
    data = parsed(manifest_text(PARQUET, tokens, ANSWERS)).spec.data
    assert (data.input_type, data.length, data.train.input_column) == ("Integer", 16, "words")
    series = replace(tokens, kind=SampleKind.SERIES, shape=(3, 256), layout=Layout.CT)
    data = parsed(manifest_text(PARQUET, series, ANSWERS)).spec.data
    assert (data.layout, data.standardize) == ("CT", "PerChannel")


def test_images_of_several_sizes_are_resized() -> None:
    spec = parsed(manifest_text(PLACES, replace(IMAGES, shapes=2), ANSWERS)).spec
    assert [each.name for each in spec.data.transforms] == ["Resize"]
    assert parsed(manifest_text(PLACES, IMAGES, ANSWERS)).spec.data.transforms == ()


def test_the_global_batch_is_not_larger_than_the_data() -> None:
    for samples in (1, 3, 30, 10_000):
        found = replace(IMAGES, sites=(Site("a", samples, {}),))
        spec = parsed(manifest_text(PLACES, found, ANSWERS)).spec
        assert spec.sampling.global_batch_size <= samples


def test_what_a_cluster_needs_is_valid_without_its_comment_signs() -> None:
    text = manifest_text(PLACES, IMAGES, ANSWERS)
    head, sentence, commented = text.partition("read the data that are mounted there:\n")
    assert sentence
    spec = parsed(head + sentence + re.sub(r"(?m)^  # ", "  ", commented)).spec
    assert dict(spec.clients.node_selector) == {"pslgs.dev/edge": "true"}
    assert spec.checkpoint.storage is not None


@pytest.mark.parametrize(
    ("train", "evaluation", "folder"),
    [
        ("ready/{client}/train.csv", "ready/{client}/test.csv", "/workspace/ready"),
        ("data/train/{client}.csv", "data/test/{client}.csv", "/workspace/data"),
        ("/srv/scans/all.parquet", None, "/srv/scans"),
        ("scans/part-*.parquet", None, "/workspace/scans"),
        ("{client}.npz", None, "/workspace"),
        ("images", None, "/workspace/images"),
    ],
    ids=["files", "roles", "one file", "several files", "working folder", "folder"],
)
def test_the_volume_of_a_cluster_is_mounted_where_the_path_leads(
    train: str, evaluation: str | None, folder: str
) -> None:
    text = manifest_text(replace(PLACES, train=train, evaluation=evaluation), IMAGES, ANSWERS)
    assert f"{{name: data, mountPath: {scalar(folder)}, readOnly: true}}" in text


def test_columns_of_text_are_told_apart_from_others_that_are_not_read() -> None:
    columns = choose_columns(
        {
            "age": ColumnKind.NUMBERS,
            "sex": ColumnKind.TEXT,
            "pat_id": ColumnKind.TEXT,
            "y": ColumnKind.NUMBERS,
        }
    )
    text = manifest_text(PLACES, replace(TABLE, columns=columns), replace(ANSWERS, network=MLP))
    assert "# columns that are not read: pat_id\n" in text
    assert "# left out, because they are texts: sex\n" in text


def test_an_evaluation_without_data_is_a_comment() -> None:
    text = manifest_text(replace(PLACES, evaluation=None), IMAGES, ANSWERS)
    assert parsed(text).spec.data.evaluation is None
    assert "# evaluation:" in text


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12) | st.sampled_from(
    ["yes", "Null", "1e3", "0x1", "a: b", "# c", "- d", "{e}", "[f", "12:30", "~", "\u2028", "'g'", '"']
)


@given(NAMES)
def test_any_name_is_read_as_it_was_written(name: str) -> None:
    assert parse_yaml(f"key: {scalar(name)}", "") == {"key": name}
    assert parse_yaml(f"key: {scalar([name, {name: 1}])}", "") == {"key": [name, {name: 1}]}


@settings(max_examples=scaled(30))
@given(st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_names_of_classes_and_columns_cannot_leave_their_place(names: list[str]) -> None:
    site = Site("a", 20, dict.fromkeys(names, 10))
    columns = Columns("y", tuple(names), ColumnKind.NUMBERS, tuple(names))
    found = replace(IMAGES, sites=(site,), classes=tuple(names))
    table = replace(TABLE, columns=columns)
    text = manifest_text(PLACES, found, replace(ANSWERS, classes=tuple(names)))
    assert parse_yaml(text, "")["spec"]["data"]["classes"] == names  # type: ignore[index]
    text = manifest_text(Places(DataFormat.CSV, "x.csv"), table, Answers("ages", MLP, "hidden1"))
    assert parse_yaml(text, "")["spec"]["data"]["train"]["inputColumns"] == names  # type: ignore[index]


def test_a_job_is_named_after_the_folder_of_its_data() -> None:
    assert suggested_name("/srv/Chest X-rays/data") == "chest-x-rays"
    assert suggested_name("/srv/scans/{client}/train") == "scans"
    assert suggested_name("/srv/2024.csv") == "srv"
    assert suggested_name("/data") == "job"


NUMBERED = replace(IMAGES, classes=("0", "1", "2"), has_names=False)


@pytest.mark.parametrize(
    ("contents", "classes", "problem"),
    [
        pytest.param(IMAGES, ("cat",), "lacks 'dog'", id="a class of the data is missing"),
        pytest.param(IMAGES, ("cat", "dog", "dog"), "twice", id="a class is named twice"),
        pytest.param(NUMBERED, ("a", "b"), "the labels go up to 2", id="too few for the numbers"),
        pytest.param(TABLE, ("a", "b"), "no classes", id="labels are values"),
    ],
)
def test_classes_that_do_not_fit_are_refused(
    contents: Contents, classes: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        checked_classes(contents, classes)


def test_classes_may_be_more_than_the_data_have() -> None:
    assert checked_classes(IMAGES, ("dog", "bird", "cat")) == ("dog", "bird", "cat")
    assert checked_classes(NUMBERED, ()) == ()
