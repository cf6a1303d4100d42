"""All data of a job share one label space: a class is the same number wherever its name occurs."""

import itertools
import json
import sys
from types import ModuleType, SimpleNamespace
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hypothesis_profiles import scaled
from pslgs.data.arrays import ArraySource
from pslgs.data.label_space import in_label_space
from pslgs.data.loading import (
    open_all_evaluation_data,
    open_all_training_data,
    open_evaluation_data,
    open_training_data,
)
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError

FIELD = "spec.data.train"
CLASSES = ("bénin", "malin", "normal")


def named(labels) -> list[str]:
    return [CLASSES[label] for label in labels]


def write_folder(path, labels):
    for i, name in enumerate(named(labels)):
        # Some systems store names decomposed, others composed.
        folder = path / normalize("NFD" if path.name < "b" else "NFC", name)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), i).save(folder / f"{i}.png")
    return {"format": "ImageFolder", "path": str(path)}


def write_text(path, labels):
    np.savez(path.with_suffix(".npz"), x=inputs(labels), y=np.array(named(labels)))
    return {"format": "NumPy", "path": str(path.with_suffix(".npz"))}


def inputs(labels):
    return np.arange(len(labels), dtype=np.float32).reshape(-1, 1)


def write_parquet(path, labels, column, metadata=None):
    table = pa.table({"img": pa.array(inputs(labels).tolist()), "label": column})
    pq.write_table(table.replace_schema_metadata(metadata), path.with_suffix(".parquet"))
    return {"format": "Parquet", "path": str(path.with_suffix(".parquet"))}


def write_class_labels(path, labels):
    names = CLASSES[::-1]
    stored = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    numbers = pa.array([names.index(name) for name in named(labels)])
    return write_parquet(path, labels, numbers, {b"huggingface": json.dumps(stored).encode()})


def write_strings(path, labels):
    return write_parquet(path, labels, pa.array(named(labels)))


def write_dictionary(path, labels):
    return write_parquet(path, labels, pa.array(named(labels)).dictionary_encode())


def write_csv(path, labels):
    rows = "".join(f"{i},{name}\n" for i, name in enumerate(named(labels)))
    path.with_suffix(".csv").write_text(f"value,label\n{rows}", encoding="utf-8")
    return {"format": "CSV", "path": str(path.with_suffix(".csv")), "inputColumns": ["value"]}


class Rows(list):
    """A user's dataset with names of its classes."""


def make_rows(root, names):
    rows = Rows(([float(i)], names.index(name)) for i, name in enumerate(root))
    rows.classes = list(names)
    return rows


def write_custom(_path, labels):
    options = {"root": named(labels), "names": [CLASSES[2], CLASSES[0], CLASSES[1]]}
    return {"format": "Custom", "entrypoint": "made_for_label_space:make_rows", "options": options}


WRITERS = (
    write_folder,
    write_text,
    write_class_labels,
    write_strings,
    write_dictionary,
    write_csv,
    write_custom,
)


@pytest.fixture(scope="module", autouse=True)
def _module():
    made = ModuleType("made_for_label_space")
    made.make_rows = make_rows
    sys.modules[made.__name__] = made
    yield
    del sys.modules[made.__name__]


def true_names(write, labels):
    """Return the classes of samples in the order in which a format reads them."""
    in_order = sorted(labels) if write is write_folder else labels
    return [normalize("NFC", name) for name in named(in_order)]


def names_of(data):
    return [data.class_names[label] for label in data.labels]


layouts = st.lists(st.lists(st.sampled_from(range(3)), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=scaled(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writers=st.tuples(st.sampled_from(WRITERS), st.sampled_from(WRITERS)),
    sites=layouts,
    evaluated=st.lists(st.sampled_from(range(3)), min_size=1, max_size=4),
    order=st.permutations(CLASSES),
)
def test_a_class_has_one_number_at_all_sites_in_all_formats(
    writers, sites, evaluated, order, tmp_path_factory
):
    write, write_evaluation = writers
    root = tmp_path_factory.mktemp("layout")
    clients = ["a", "b", "c"][: len(sites)]
    sources = [write(root / client, labels) for client, labels in zip(clients, sites, strict=True)]
    evaluation = write_evaluation(root / "test", evaluated) | {"at": "Clients"}
    for client, source, labels in zip(clients, sources, sites, strict=True):
        data = DataSpec.model_validate({"train": source, "evaluation": evaluation, "classes": order})
        alone = open_training_data(data, client_id=client, partition_index=None, seed=0, cache=root / "cache")
        [together] = open_all_training_data(data, [client], seed=0, cache=root / "cache")
        own = open_evaluation_data(data, client_id=client, cache=root / "cache")
        [simulated] = open_all_evaluation_data(data, [client], seed=0, cache=root / "cache")
        servers = open_evaluation_data(data, cache=root / "cache")
        assert names_of(alone) == names_of(together) == true_names(write, labels)
        assert names_of(own) == names_of(simulated) == true_names(write_evaluation, evaluated)
        assert names_of(servers) == names_of(own)
        assert {each.class_names for each in (alone, together, own, simulated, servers)} == {tuple(order)}


@pytest.fixture
def site(tmp_path):
    """Write folders of images: site(NAME, CLASS NUMBERS)."""

    def write(name, labels):
        return write_folder(tmp_path / name, labels)

    return SimpleNamespace(write=write, cache=tmp_path / "cache", path=str(tmp_path))


def spec(site, **fields):
    return DataSpec.model_validate(
        {"train": {"format": "ImageFolder", "path": site.path + "/{client}"}, **fields}
    )


def test_an_evaluation_without_a_class_keeps_the_numbers_of_training(site):
    site.write("a", [0, 1, 2])
    evaluation = site.write("test", [1, 2])
    data = spec(site, evaluation=evaluation)
    [training] = open_all_training_data(data, ["a"], seed=0, cache=site.cache)
    found = open_evaluation_data(data, cache=site.cache, class_names=training.class_names)
    assert found.labels.tolist() == [1, 2]


def test_a_server_numbers_its_evaluation_once_it_knows_the_names(site):
    data = spec(site, evaluation=site.write("test", [1, 2]))
    found = open_evaluation_data(data, cache=site.cache)
    assert found.labels.tolist() == [0, 1]
    for order in itertools.permutations(CLASSES):
        found.number_classes(order, "test")
        assert names_of(found) == ["malin", "normal"]


@pytest.mark.parametrize("given", ["data", "train"])
def test_an_evaluation_class_that_the_job_does_not_know_is_refused_with_its_folder(given, site):
    site.write("a", [0, 1])
    evaluation = site.write("test", [0, 2])
    names = {"classes": CLASSES[:2]}
    data = spec(site, evaluation=evaluation, **(names if given == "data" else {}))
    known = None if given == "data" else CLASSES[:2]
    with pytest.raises(
        InputError, match=r"the class 'normal' \('.*/test.*'\), which is none of the job"
    ) as caught:
        open_evaluation_data(data, cache=site.cache, class_names=known)
    assert caught.value.violations[0].path.startswith("spec.data.evaluation")


def test_a_site_with_an_unknown_class_is_refused_with_its_folder(site):
    site.write("a", [0, 1])
    site.write("b", [0, 2])
    with pytest.raises(InputError, match=r"'.*/b/normal'\), which is none of the job's classes"):
        open_all_training_data(spec(site, classes=CLASSES[:2]), ["a", "b"], seed=0, cache=site.cache)


def test_a_site_may_lack_a_class_that_is_named(site):
    site.write("a", [0, 1])
    site.write("b", [0, 2])
    data = open_all_training_data(spec(site, classes=CLASSES), ["a", "b"], seed=0, cache=site.cache)
    assert [each.labels.tolist() for each in data] == [[0, 1], [0, 2]]


def test_sites_with_different_classes_are_refused_with_the_union_to_paste(site):
    site.write("a", [0, 1])
    site.write("b", [0, 2])
    with pytest.raises(InputError, match=r'classes: \["bénin", "malin", "normal"\]') as caught:
        open_all_training_data(spec(site), ["a", "b"], seed=0, cache=site.cache)
    assert caught.value.violations[0].path == "spec.data.classes"
    assert '"malin" only at a (1); "normal" only at b (1); name all' in caught.value.violations[0].problem


def table(folder, name, *labels):
    (folder / f"{name}.csv").write_text("\n".join(["x,y", *(f"{i},{y}" for i, y in enumerate(labels))]))
    return {
        "format": "CSV",
        "path": str(folder / "{client}.csv"),
        "inputColumns": ["x"],
        "labelColumn": "y",
    }


@pytest.mark.parametrize(
    ("typed", "is_meant"),
    [
        pytest.param("Rehab", True, id="capitals"),
        pytest.param("rehap", True, id="another letter"),
        pytest.param("rehabb", True, id="one letter more"),
        pytest.param("reab", True, id="one letter less"),
        pytest.param("rehab 2", False, id="two characters"),
        pytest.param("rehab2", False, id="digit"),
    ],
)
def test_a_class_that_is_probably_misspelt_is_told_with_its_site(typed, is_meant, tmp_path):
    for name in ("a", "b"):
        table(tmp_path, name, "home", "rehab")
    data = DataSpec.model_validate({"train": table(tmp_path, "c", "home", "rehab", typed, typed)})
    with pytest.raises(InputError) as caught:
        open_all_training_data(data, ["a", "b", "c"], seed=0, cache=tmp_path)
    problem = caught.value.violations[0].problem
    assert f'"{typed}" only at c (2)' in problem
    assert ('probably a misspelt "rehab"' in problem) == is_meant
    assert problem.endswith('["home", "rehab"]') == is_meant


def test_a_client_that_lacks_a_class_is_named_where_others_have_it(tmp_path):
    for name in ("a", "b"):
        table(tmp_path, name, "home", "rehab")
    data = DataSpec.model_validate({"train": table(tmp_path, "c", "home")})
    with pytest.raises(InputError, match=r'"rehab" not at c; name all of them'):
        open_all_training_data(data, ["a", "b", "c"], seed=0, cache=tmp_path)


def test_names_for_the_evaluation_only_are_refused(site, tmp_path):
    np.savez(tmp_path / "train.npz", x=inputs([0, 1]), y=[0, 1])
    train = {"format": "NumPy", "path": str(tmp_path / "train.npz")}
    data = DataSpec.model_validate({"train": train, "evaluation": site.write("test", [0, 1])})
    with pytest.raises(InputError, match="the training data only numbers"):
        open_evaluation_data(data, cache=site.cache, class_names=())


def test_numbers_of_training_data_are_those_of_a_published_evaluation(site, tmp_path):
    np.savez(tmp_path / "train.npz", x=inputs([0, 1]), y=[0, 1])
    train = {"format": "NumPy", "path": str(tmp_path / "train.npz")}
    evaluation = {"format": "ScikitLearn", "name": "digits"}
    data = DataSpec.model_validate({"train": train, "evaluation": evaluation})
    known = open_evaluation_data(data, cache=site.cache, class_names=())
    later = open_evaluation_data(data, cache=site.cache)
    assert known.labels.tolist() == later.labels.tolist()
    assert (later.awaits_names, later.needs_names) == (True, False)
    later.number_classes(tuple("9876543210"), "digits")
    assert later.labels.tolist() == [9 - label for label in known.labels.tolist()]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(("a", "a"), "names the class 'a' twice", id="a name twice"),
        pytest.param(("a",), r"holds the label 1 .*the 1 classes \[\"a\"\]", id="a number without a name"),
    ],
)
def test_names_that_a_dataset_gives_its_classes_must_fit_its_labels(names, words):
    source = ArraySource(np.ones((2, 1)), np.array([0, 1]), names, FIELD)
    with pytest.raises(InputError, match=words):
        in_label_space(source, None, FIELD, "site-1.npz")


def test_the_numbers_of_folders_need_names(site):
    data = DataSpec.model_validate(
        {"train": {"format": "NumPy", "path": "/x"}, "evaluation": site.write("test", [0, 1])}
    )
    assert open_evaluation_data(data, cache=site.cache).needs_names


def test_a_number_beyond_the_named_classes_is_refused(site, tmp_path):
    np.savez(tmp_path / "train.npz", x=inputs([0, 3]), y=[0, 3])
    train = {"format": "NumPy", "path": str(tmp_path / "train.npz")}
    data = DataSpec.model_validate({"train": train, "classes": CLASSES})
    with pytest.raises(InputError, match=r"the label 3 .* have the numbers 0 … 2"):
        open_training_data(data, client_id="a", partition_index=None, seed=0, cache=site.cache)
