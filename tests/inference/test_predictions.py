"""Files are decoded and transformed as in an evaluation; outputs become classes or values."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from inference.trained import CLASSES, SHAPE, Trained
from pslgs.cli.main import app
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.inference.prediction import interpret, predict_files, sample_files
from pslgs.inference.trained_model import load_model
from pslgs.spec.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.PNG"):
        pixels = RNG.integers(0, 255, (20, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name, format="PNG")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_predicted_as_in_an_evaluation(folder: Path) -> None:
    trained = Trained(folder).finish()
    found = list(predict_files(load_model(folder), sample_files([folder / "images"])))
    assert [Path(each.sample).name for each in found] == ["a.png", "b.PNG"]
    pixels = np.array(Image.open(folder / "images" / "a.png"))[2:18, 1:17]  # cropped in the middle
    inputs = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - 0.5) / 0.25
    expected = trained.outputs(inputs[None]).double().softmax(dim=1)[0]
    assert list(found[0].probabilities) == list(CLASSES)
    assert list(found[0].probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert found[0].classes == (CLASSES[int(expected.argmax())],)


def test_rows_of_arrays_are_samples(tmp_path: Path) -> None:
    data = {"train": {"format": "NumPy", "path": "/data/x.npz"}, "layout": "HWC"}
    trained = Trained(tmp_path, data=data).finish()
    rows = RNG.random((3, 16, 16, 3), dtype=np.float32)
    np.save(tmp_path / "x.npy", rows)
    np.savez(tmp_path / "y.npz", x=rows, y=[0, 1, 2])
    found = list(predict_files(load_model(tmp_path), [tmp_path / "x.npy", tmp_path / "y.npz"]))
    assert [each.sample for each in found[2:4]] == [f"{tmp_path / 'x.npy'}:2", f"{tmp_path / 'y.npz'}:0"]
    outputs = trained.outputs(torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous())
    assert [each.classes for each in found[:3]] == [(str(int(each)),) for each in outputs.argmax(dim=1)]


def test_inputs_are_standardised_as_in_the_training(tmp_path: Path) -> None:
    scale = FeatureScale.of([5.0, -3.0, 0.5], [2.0, 0.1, 4.0], 3)
    data = {"train": {"format": "NumPy", "path": "/data/x.npz"}, "standardize": "PerChannel"}
    trained = Trained(tmp_path, scale, data=data).finish()
    rows = RNG.random((2, *SHAPE), dtype=np.float32)
    np.save(tmp_path / "x.npy", rows)
    found = list(predict_files(load_model(tmp_path), [tmp_path / "x.npy"]))
    mean, deviation = torch.tensor([5.0, -3.0, 0.5]), torch.tensor([2.0, 0.1, 4.0])
    inputs = (torch.from_numpy(rows) - mean[:, None, None]) / deviation[:, None, None]
    expected = trained.outputs(inputs).double().softmax(dim=1)
    for each, row in zip(found, expected, strict=True):
        assert list(each.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "outputs", "classes", "probabilities", "values"),
    [
        pytest.param("MeanSquaredError", [2.5], (), {}, (2.5,), id="regression"),
        pytest.param("BinaryCrossEntropy", [0.0], ("no",), {"no": 0.5, "yes": 0.5}, (), id="two classes"),
        pytest.param(
            "BinaryCrossEntropy",
            [40.0, 40.0],
            ("no", "yes"),
            {"no": 1.0, "yes": 1.0},
            (),
            id="several labels",
        ),
    ],
)
def test_the_loss_decides_what_outputs_mean(  # noqa: PLR0917 - a row of the table
    tmp_path: Path,
    loss: str,
    outputs: list[float],
    classes: tuple[str, ...],
    probabilities: dict[str, float],
    values: tuple[float, ...],
) -> None:
    model = {"architecture": "cnn", "options": {"width": 4, "classes": len(outputs)}, "cutLayer": "conv1"}
    train = {"format": "ImageFolder", "path": "/data", "classes": ["no", "yes"]}
    described = Trained(tmp_path, loss=loss, model=model, data={"train": train}).description
    (found,) = interpret(torch.tensor([outputs]), ["a"], described)
    assert found.classes == classes
    assert found.probabilities == pytest.approx(probabilities)
    assert found.values == values


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("a.png", b"<html>", "a.png: cannot be decoded as an image", id="damaged image"),
        pytest.param("a.npy", b"junk", "cannot be read as an array", id="damaged array"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    Trained(tmp_path).finish()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        list(predict_files(load_model(tmp_path), [tmp_path / name]))


def test_samples_of_another_shape_are_named(tmp_path: Path) -> None:
    Trained(tmp_path, data={"train": {"format": "NumPy", "path": "/data"}}).finish()
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 8, 8), dtype=np.float32))
    with pytest.raises(InputError, match=r"x\.npy:0: gives inputs of shape \(3, 8, 8\), but the model takes"):
        list(predict_files(load_model(tmp_path), [tmp_path / "x.npy"]))


def test_paths_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        sample_files([tmp_path / "none"])
    with pytest.raises(InputError, match="holds neither images nor"):
        sample_files([tmp_path])


def test_the_command_writes_text_json_and_csv(folder: Path) -> None:
    Trained(folder).finish()
    arguments = ["predict", str(folder), str(folder / "images")]
    text = CliRunner().invoke(app, arguments)
    assert text.exit_code == 0, text.output
    assert len(text.stdout.splitlines()) == 2
    document = json.loads(CliRunner().invoke(app, [*arguments, "--format", "json"]).stdout)
    assert document[0]["classes"][0] in CLASSES
    file = folder / "found.csv"
    assert CliRunner().invoke(app, [*arguments, "--format", "csv", "--output", str(file)]).exit_code == 0
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert float(rows[1]["benign"]) == pytest.approx(document[1]["probabilities"]["benign"])
