"""Rows of CSV and Parquet files, and medical images, are predicted as those that the model was trained on."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from data.test_medical_images import STORED, dicom, nifti
from inference.trained import Trained
from pslgs.cli.main import app
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.data.decoding import decode
from pslgs.inference.prediction import predict_files, sample_files
from pslgs.inference.trained_model import load_model
from pslgs.spec.errors import InputError

DAY = 86_400
TIMES = 1_700_000_007 + DAY * np.arange(4)
DOSES = np.array([0.5, 1.5, 2.5, 3.5])
SCALE = FeatureScale.of([float(TIMES.mean()), 2.0], [float(TIMES.std()), 1.1], 2)
ROWS = np.stack([(TIMES - SCALE.mean[0]) / SCALE.deviation[0], (DOSES - 2.0) / 1.1], axis=1)


def regression(folder: Path, **train: object) -> Trained:
    """A model of two standardised columns, which estimates a value."""
    model = {
        "architecture": "mlp",
        "options": {"inputs": 2, "hidden": [4], "outputs": 1},
        "cutLayer": "hidden1",
    }
    source = {"format": "CSV", "path": "/data/x.csv", "inputColumns": ["time", "dose"]} | train
    data = {"train": source, "standardize": "PerFeature"}
    return Trained(folder, SCALE, (2,), model=model, data=data, loss="MeanSquaredError").finish()


def written(folder: Path, kind: str) -> Path:
    """Write the rows, with a column between that the model does not have, and without labels."""
    lines = [f"{time},x,{dose}" for time, dose in zip(TIMES, DOSES, strict=True)]
    text = "\n".join(["time,name, dose", *lines, ""])
    file = folder / f"new.{kind}"
    match kind:
        case "csv":
            file.write_text(text)
        case "csv.gz":
            file.write_bytes(gzip.compress(text.encode()))
        case "tsv":
            file.write_text(text.replace(",", "\t"))
        case _:
            pq.write_table(pa.table({"dose": DOSES, "name": ["x"] * 4, "time": TIMES}), file)
    return file


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet"])
@pytest.mark.parametrize("trained_on", ["CSV", "Parquet"])
def test_rows_of_tables_are_predicted_with_their_numbers(kind, trained_on, tmp_path):
    trained = regression(tmp_path, format=trained_on)
    file = written(tmp_path, kind)
    found = list(predict_files(load_model(tmp_path), sample_files([file])))
    assert [each.sample for each in found] == [f"{file}:{row}" for row in range(4)]
    expected = trained.outputs(torch.from_numpy(ROWS.astype(np.float32)))[:, 0].tolist()
    assert [each.values[0] for each in found] == pytest.approx(expected, abs=1e-5)


def test_the_command_writes_a_row_for_each_row_of_a_folder_of_tables(tmp_path):
    regression(tmp_path / "run")
    (tmp_path / "new").mkdir()
    written(tmp_path / "new", "csv")
    written(tmp_path / "new", "parquet")
    (tmp_path / "new" / "notes.txt").write_text("none of these")
    arguments = ["predict", str(tmp_path / "run"), str(tmp_path / "new"), "--format", "csv"]
    result = CliRunner().invoke(app, arguments)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["sample"].rsplit("/", 1)[1] for row in rows] == [
        f"new.{kind}:{row}" for kind in ("csv", "parquet") for row in range(4)
    ]
    assert len({float(row["value0"]) for row in rows[:4]}) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            "time,name\n1,x\n", "inputColumns: names 'dose', but '.*' has the columns time, name", id="lacks"
        ),
        pytest.param("time,dose\n1,2\n3,\n", r"column 'dose' has 1 missing value.* \(line 3\)", id="missing"),
        pytest.param(
            "time,dose\n1,2\n3,much\n", "column 'dose' holds 'much', which is not a number", id="text"
        ),
    ],
)
def test_a_table_that_cannot_be_used_says_where(content, words, tmp_path):
    regression(tmp_path)
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        list(predict_files(load_model(tmp_path), [tmp_path / "new.csv"]))


def test_a_model_without_columns_says_so(tmp_path):
    Trained(tmp_path).finish()
    with pytest.raises(
        InputError, match=r"new\.csv: is a table, but the model was trained on .* ImageFolder"
    ):
        list(predict_files(load_model(tmp_path), [written(tmp_path, "csv")]))


def test_images_and_arrays_of_a_parquet_file_are_decoded_as_in_the_training(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 18, 3), 99, np.uint8)).save(buffer, format="PNG")
    images = {"format": "Parquet", "path": "/data/x.parquet"}
    trained = Trained(tmp_path / "images", data={"train": images}, shape=(3, 20, 18)).finish()
    pq.write_table(pa.table({"img": [buffer.getvalue()] * 2}), tmp_path / "new.parquet")
    found = list(predict_files(load_model(tmp_path / "images"), [tmp_path / "new.parquet"]))
    outputs = trained.outputs(torch.full((2, 3, 20, 18), 99 / 255)).double().softmax(dim=1)
    assert [[*each.probabilities.values()] for each in found] == [
        pytest.approx(row, abs=1e-6) for row in outputs.tolist()
    ]
    lists = images | {"inputColumn": "x"}
    trained = Trained(tmp_path / "lists", data={"train": lists}, shape=(3, 16, 16)).finish()
    values = np.random.default_rng(0).random((2, 3, 16, 16))
    pq.write_table(pa.table({"x": values.tolist()}), tmp_path / "new.parquet")
    found = list(predict_files(load_model(tmp_path / "lists"), sample_files([tmp_path / "new.parquet"])))
    outputs = trained.outputs(torch.from_numpy(values).float()).double().softmax(dim=1)
    assert [[*each.probabilities.values()] for each in found] == [
        pytest.approx(row, abs=1e-6) for row in outputs.tolist()
    ]


def test_medical_images_are_predicted_with_the_window_of_the_training(tmp_path):
    source = {"format": "ImageFolder", "path": "/data", "classes": ["benign", "malignant", "normal"]}
    data = {"train": source, "window": [2048, 4096]}
    trained = Trained(tmp_path / "run", data=data, shape=(3, 2, 3), model=TINY).finish()
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom())
    (folder / "IM0001").write_bytes(dicom())
    found = list(predict_files(load_model(tmp_path / "run"), sample_files([folder])))
    assert [Path(each.sample).name for each in found] == ["IM0001", "a.dcm"]
    pixels = torch.from_numpy(((STORED - 0.0) / 4095.0).astype(np.float32)).expand(1, 3, -1, -1)
    expected = trained.outputs(pixels).double().softmax(dim=1)[0]
    assert [*found[0].probabilities.values()] == pytest.approx(expected.tolist(), abs=1e-4)
    assert found[0].probabilities == pytest.approx(found[1].probabilities)


def test_volumes_are_predicted_too(tmp_path):
    content = gzip.compress(nifti(np.arange(24, dtype=np.float32).reshape(2, 3, 4)))
    volume = decode(content)
    source = {"format": "ImageFolder", "path": "/data"}
    model = TINY | {"options": TINY["options"] | {"inputs": 24}}
    trained = Trained(tmp_path, data={"train": source}, shape=tuple(volume.shape), model=model).finish()
    (tmp_path / "scan.nii.gz").write_bytes(content)
    (found,) = predict_files(load_model(tmp_path), sample_files([tmp_path / "scan.nii.gz"]))
    expected = trained.outputs(volume[None]).double().softmax(dim=1)[0]
    assert [*found.probabilities.values()] == pytest.approx(expected.tolist(), abs=1e-6)


TINY = {"architecture": "mlp", "options": {"inputs": 18, "hidden": [4], "outputs": 3}, "cutLayer": "hidden1"}
