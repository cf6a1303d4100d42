"""Labels that are texts are classes: a loss that needs numbers refuses them by name, in every format."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from pslgs.cli.main import app
from pslgs.data.loading import TRAINING, open_training_data
from pslgs.spec import InputError
from pslgs.spec.data import DataSpec
from pslgs.spec.loss import Loss, LossOptions
from pslgs.training.dataset_check import check_dataset
from pslgs.training.objective import objective

NAMES = ["yes", "no", "yes", "no"]
ROWS = [[float(i)] for i in range(4)]


class Rows(list):
    """A user's dataset."""


def write(kind: str, folder, monkeypatch, labels=NAMES) -> dict:
    match kind:
        case "NumPy":
            np.savez(folder / "d.npz", x=np.array(ROWS, np.float32), y=np.array(labels))
            return {"format": "NumPy", "path": str(folder / "d.npz")}
        case "CSV":
            lines = (f"{row[0]},{label}\n" for row, label in zip(ROWS, labels, strict=True))
            (folder / "d.csv").write_text("value,label\n" + "".join(lines))
            return {"format": "CSV", "path": str(folder / "d.csv"), "inputColumns": ["value"]}
        case "Custom":
            module = SimpleNamespace(dataset=lambda: Rows(zip(torch.tensor(ROWS), labels, strict=True)))
            monkeypatch.setitem(sys.modules, "text_labels", module)
            return {"format": "Custom", "entrypoint": "text_labels:dataset"}
        case _:
            column = pa.array(labels)
            column = column.dictionary_encode() if kind == "dictionary" else column
            pq.write_table(pa.table({"img": pa.array(ROWS), "label": column}), folder / "d.parquet")
            return {"format": "Parquet", "path": str(folder / "d.parquet")}


def check(source: dict, folder, loss: Loss, outputs: int = 1, options=None, **data) -> None:
    spec = DataSpec.model_validate({"train": source, **data})
    opened = open_training_data(spec, client_id="a", partition_index=None, seed=0, cache=folder / "cache")
    found = objective(loss, (outputs,), torch.float32, options)
    task = SimpleNamespace(
        input_shape=opened.input_shape, objective=found, outputs_field="spec.model.options.outputs"
    )
    check_dataset(task, opened, TRAINING)


@pytest.mark.parametrize("kind", ["NumPy", "CSV", "Custom", "string", "dictionary"])
def test_texts_are_no_targets_in_any_format(kind, tmp_path, monkeypatch):
    source = write(kind, tmp_path, monkeypatch)
    with pytest.raises(
        InputError, match=r'^spec\.data\.train: has names as labels, \["no", "yes"\], but Mean'
    ):
        check(source, tmp_path, Loss.MEAN_SQUARED_ERROR)
    check(source, tmp_path, Loss.CROSS_ENTROPY, 2)
    numbers = write(kind, tmp_path, monkeypatch, [1.5, 0.0, 2.0, -1.0])
    check(numbers, tmp_path, Loss.MEAN_SQUARED_ERROR)


VALUES = LossOptions.model_validate({"entrypoint": "a.b:c", "labels": "Values"})


@pytest.mark.parametrize("declared", [False, True], ids=["found", "declared"])
@pytest.mark.parametrize(
    ("loss", "outputs", "options", "remedy"),
    [
        pytest.param(Loss.MEAN_SQUARED_ERROR, 1, None, "use the loss CrossEntropy and", id="squared"),
        pytest.param(Loss.HUBER, 1, None, "store targets as numbers", id="huber"),
        pytest.param(Loss.BINARY_CROSS_ENTROPY, 3, None, "store targets as numbers", id="many-labels"),
        pytest.param(Loss.CUSTOM, 1, VALUES, "but Custom needs numbers", id="own-loss-of-values"),
        pytest.param(
            Loss.BINARY_CROSS_ENTROPY,
            1,
            None,
            r"name two classes in spec\.data\.classes, the one that counts as 1 last",
            id="two-classes",
        ),
    ],
)
def test_a_loss_that_needs_numbers_says_what_to_do(
    *, loss, outputs, options, remedy, declared, tmp_path, monkeypatch
):
    source = write("NumPy", tmp_path, monkeypatch)
    data = {"classes": ["yes", "no"]} if declared else {}
    if declared and loss is Loss.BINARY_CROSS_ENTROPY and outputs == 1:
        check(source, tmp_path, loss, outputs, options, **data)
        return
    with pytest.raises(InputError, match=f"has names as labels.*{remedy}"):
        check(source, tmp_path, loss, outputs, options, **data)


ANIMALS = ("ape", "bee", "cat")


def write_named(kind: str, folder, monkeypatch, names=ANIMALS) -> dict:
    """Write four samples, whose classes have numbers in the data and ``names``, for the site "a"."""
    numbers = [0, len(names) - 1, 1, 0]
    match kind:
        case "ImageFolder":
            for i, number in enumerate(numbers):
                (folder / "a" / names[number]).mkdir(parents=True, exist_ok=True)
                Image.new("L", (1, 1)).save(folder / "a" / names[number] / f"{i}.png")
            return {"format": "ImageFolder", "path": f"{folder}/{{client}}"}
        case "ClassLabel":
            known = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
            table = pa.table({"img": pa.array(ROWS), "label": pa.array(numbers)})
            table = table.replace_schema_metadata({"huggingface": json.dumps(known)})
            pq.write_table(table, folder / "a.parquet")
            return {"format": "Parquet", "path": f"{folder}/{{client}}.parquet"}
        case "Custom":
            dataset = Rows(zip(torch.tensor(ROWS), numbers, strict=True))
            dataset.classes = list(names)
            monkeypatch.setitem(sys.modules, "named_labels", SimpleNamespace(dataset=lambda: dataset))
            return {"format": "Custom", "entrypoint": "named_labels:dataset"}
        case _:
            np.savez(folder / "a.npz", x=np.array(ROWS, np.float32), y=np.array(numbers))
            return {"format": "NumPy", "path": f"{folder}/{{client}}.npz"}


REGRESSIONS = [Loss.MEAN_SQUARED_ERROR, Loss.HUBER]
KINDS = ["ImageFolder", "ClassLabel", "Custom"]


@pytest.mark.parametrize("loss", REGRESSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_classes_are_no_targets(kind, loss, tmp_path, monkeypatch):
    source = write_named(kind, tmp_path, monkeypatch)
    with pytest.raises(
        InputError, match=rf"^spec\.data\.train: has n.*\[\"ape\", .*, but {loss} needs numbers"
    ):
        check(source, tmp_path, loss)
    check(source, tmp_path, Loss.CROSS_ENTROPY, 3)


def test_classes_of_the_manifest_are_no_targets_either(tmp_path, monkeypatch):
    source = write_named("NumPy", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r'^spec\.data\.classes: names classes, \["ape".*remove the names'):
        check(source, tmp_path, Loss.MEAN_SQUARED_ERROR, classes=ANIMALS)
    check(source, tmp_path, Loss.MEAN_SQUARED_ERROR)


def test_names_that_are_the_numbers_themselves_may_be_targets(tmp_path, monkeypatch):
    source = write_named("ClassLabel", tmp_path, monkeypatch, ("0", "1", "2"))
    check(source, tmp_path, Loss.MEAN_SQUARED_ERROR)
    with pytest.raises(InputError, match="has numbers of classes as labels"):
        check(write_named("ClassLabel", tmp_path, monkeypatch, ("1", "2", "3")), tmp_path, Loss.HUBER)


def test_the_order_of_two_folders_is_declared_but_that_of_stored_numbers_is_known(tmp_path, monkeypatch):
    binary = Loss.BINARY_CROSS_ENTROPY
    for kind in ("ClassLabel", "Custom"):
        check(write_named(kind, tmp_path, monkeypatch, ("no", "yes")), tmp_path, binary)
    folders = write_named("ImageFolder", tmp_path, monkeypatch, ("no", "yes"))
    with pytest.raises(InputError, match=r"name two classes in spec\.data\.classes"):
        check(folders, tmp_path, binary)
    check(folders, tmp_path, binary, classes=["yes", "no"])


def test_names_of_several_targets_are_those_of_the_outputs(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array(ROWS, np.float32), y=np.array([[0, 1], [1, 1], [0, 0], [1, 0]]))
    source = {"format": "NumPy", "path": str(tmp_path / "{client}.npz")}
    for loss in (Loss.MEAN_SQUARED_ERROR, Loss.BINARY_CROSS_ENTROPY):
        check(source, tmp_path, loss, 2, classes=["fever", "cough"])


def test_a_column_of_targets_has_no_numbers_of_classes(tmp_path):
    def write(names):
        known = {"info": {"features": {"kind": {"names": names}}}}
        columns = {"img": pa.array(ROWS), "size": pa.array([1.5] * 4), "kind": pa.array([0, 1, 1, 0])}
        table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(known)})
        pq.write_table(table, tmp_path / "a.parquet")

    source = {"format": "Parquet", "path": str(tmp_path / "a.parquet"), "labelColumns": ["size", "kind"]}
    write(ANIMALS)
    with pytest.raises(
        InputError, match=r"^spec\.data\.train\.labelColumns: names 'kind', which has the numb"
    ):
        check(source, tmp_path, Loss.MEAN_SQUARED_ERROR, 2)
    write(["no", "yes"])
    check(source, tmp_path, Loss.MEAN_SQUARED_ERROR, 2)


@pytest.mark.parametrize("command", ["run", "simulate", "compare", "plan", "check"])
def test_every_command_names_the_site_and_its_data_before_anything_starts(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_named("ImageFolder", tmp_path / "data", monkeypatch)
    model = {"architecture": "mlp", "options": {"inputs": 3, "hidden": [2], "outputs": 1}}
    spec = {"model": model | {"cutLayer": "hidden1"}, "data": {"train": source}, "epochs": 1}
    spec |= {"loss": "MeanSquaredError", "sampling": {"globalBatchSize": 2}}
    job = {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob", "metadata": {"name": "ages"}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job | {"spec": spec}))
    # A process may do this once, before it computes anything; other tests have trained in this one.
    monkeypatch.setattr("pslgs.training.torch_thread.configure_torch", lambda _threads: None)
    alone = ["--jobs", "1", "--strategies", "Global"] if command == "compare" else []
    result = CliRunner().invoke(app, [command, "job.yaml", "--cache", str(tmp_path / "cache"), *alone])
    said = " ".join(result.output.split())
    assert result.exit_code == 2
    assert 'spec.data.train: has names as labels, ["ape", "bee", "cat"], but MeanSquaredError needs' in said
    assert f"(client 'a', '{tmp_path}/data/a')" in said
