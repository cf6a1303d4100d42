"""``pslgs check`` reads every sample, and exits with 0 only if nothing would stop the job."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import Result

Pslgs = Callable[..., Result]


def manifest(train: dict, model: dict, **spec: object) -> str:
    data = {"train": train, **spec.pop("data", {})}  # type: ignore[dict-item]
    return yaml.safe_dump(
        {
            "apiVersion": "pslgs.dev/v1alpha1",
            "kind": "SplitTrainingJob",
            "metadata": {"name": "checked"},
            "spec": {"model": model, "data": data, "epochs": 1, "sampling": {"globalBatchSize": 4}, **spec},
        }
    )


MLP = {
    "architecture": "mlp",
    "options": {"inputs": 2, "hidden": [4], "outputs": 2},
    "cutLayer": "hidden1",
}


@pytest.fixture
def arrays_job(tmp_path: Path) -> Path:
    """Two sites with eight rows each, of which one of B's has a NaN."""
    for name in ("a", "B"):
        x = np.arange(16, dtype=np.float32).reshape(8, 2)
        if name == "B":
            x[5, 1] = np.nan
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.arange(8) % 2)
    job = tmp_path / "job.yaml"
    job.write_text(manifest({"format": "NumPy", "path": f"{tmp_path}/{{client}}.npz"}, MLP))
    return job


def checked(pslgs: Pslgs, job: Path, *arguments: object) -> tuple[int, dict]:
    result = pslgs("check", job, "--format", "json", "--cache", job.parent / "cache", *arguments)
    return result.exit_code, json.loads(result.stdout)


def test_each_site_is_described(pslgs: Pslgs, arrays_job: Path) -> None:
    code, document = checked(pslgs, arrays_job)
    a, b = document["datasets"]
    assert a == {
        "field": "spec.data.train",
        "client": "a",
        "samples": 8,
        "classes": {"0": 4, "1": 4},
        "shapes": [{"shape": [2], "samples": 8}],
        "leftOut": {},
        "damaged": [],
        "problems": [],
    }
    assert (b["client"], b["samples"], [each["sample"] for each in b["damaged"]]) == ("b", 7, [5])
    assert (code, document["ok"]) == (2, False)


def test_damaged_samples_stop_no_job_that_skips_them(pslgs: Pslgs, arrays_job: Path) -> None:
    code, document = checked(pslgs, arrays_job, "--set", "spec.data.onDamagedSample=Skip")
    assert (code, document["problems"]) == (0, [])
    assert len(document["datasets"][1]["damaged"]) == 1


def test_one_client_can_be_checked_alone(pslgs: Pslgs, arrays_job: Path) -> None:
    assert checked(pslgs, arrays_job, "--client", "a")[0] == 0
    code, document = checked(pslgs, arrays_job, "--client", "b")
    assert (code, [each["client"] for each in document["datasets"]]) == (2, ["b"])


def test_the_text_names_what_is_damaged_and_what_would_stop_the_job(pslgs: Pslgs, arrays_job: Path) -> None:
    result = pslgs("check", arrays_job, "--cache", arrays_job.parent / "cache")
    assert result.exit_code == 2
    assert "a: spec.data.train, 8 samples" in result.stdout
    assert "damaged   sample 5: it holds sample 5" in result.stdout
    assert "error: spec.data.train: 1 damaged sample; repair or remove them" in result.stderr
    assert "the job would stop" in result.stdout


FAULTS = {
    "a model that does not fit": (
        "spec.model.options.inputs=3",
        "error: spec.model.options.inputs: is 3, but samples have 2 values; set inputs: 2",
    ),
    "a model of images": (
        "spec.model={architecture: cnn, options: {image: [1, 8, 8], channels: 1}, cutLayer: conv1}",
        "error: spec.model.options.image: is [1, 8, 8], which are 64 values, but samples have 2; correct it",
    ),
    "more classes than outputs": (
        "spec.data.classes=[a, b, c]",
        "but the model's outputs stand for 2; set spec.model.options.outputs to 3",
    ),
    "a model without a loss": ("spec.model.options.outputs=1", "spec.loss"),
    "a batch that is too large": ("spec.sampling.globalBatchSize=100", "spec.sampling.globalBatchSize"),
    "data that are missing": ("spec.data.evaluation={format: NumPy, path: /nowhere.npz}", "/nowhere.npz"),
}


@pytest.mark.parametrize(("setting", "named"), FAULTS.values(), ids=FAULTS.keys())
def test_what_would_stop_the_job_fails_the_check(
    setting: str, named: str, pslgs: Pslgs, arrays_job: Path
) -> None:
    skip = ("--set", "spec.data.onDamagedSample=Skip")
    result = pslgs("check", arrays_job, "--cache", arrays_job.parent / "cache", *skip, "--set", setting)
    assert result.exit_code == 2
    assert named in result.stderr


def test_the_size_of_the_batch_is_no_problem_of_data_that_cannot_be_opened(
    pslgs: Pslgs, arrays_job: Path
) -> None:
    gone = ("--set", "spec.data.train.path=/nowhere.npz")
    result = pslgs("check", arrays_job, "--cache", arrays_job.parent / "cache", *gone)
    assert result.exit_code == 2
    assert "globalBatchSize" not in result.stderr


@pytest.fixture
def tables_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sites with a table each."""
    monkeypatch.chdir(tmp_path)
    for site in ("mitte", "nord"):
        (tmp_path / site).mkdir()
        (tmp_path / site / "train.csv").write_text("age,dose,label\n" + "1,2.5,0\n3,4,1\n" * 4)
    job = tmp_path / "job.yaml"
    table = {
        "format": "CSV",
        "path": "{client}/train.csv",
        "inputColumns": ["age", "dose"],
        "labelColumn": "label",
    }
    job.write_text(manifest(table, MLP))
    return job


def test_what_all_sites_have_is_said_once(pslgs: Pslgs, tables_job: Path) -> None:
    wrong = ("--set", "spec.data.train.inputColumns=[aeg, dose]")
    result = pslgs("check", tables_job, "--cache", "cache", *wrong)
    assert result.stdout.splitlines()[:2] == [
        "mitte: spec.data.train, could not be read, see below",
        "nord: spec.data.train, could not be read, see below",
    ]
    assert result.stderr.splitlines() == [
        "error: spec.data.train.inputColumns: names 'aeg', but '{client}/train.csv' has no such column; "
        "did you mean age? (mitte, nord)"
    ]


def test_what_one_site_has_is_said_with_its_file(pslgs: Pslgs, tables_job: Path) -> None:
    Path("nord/train.csv").write_text("age,label\n1,0\n")
    result = pslgs("check", tables_job, "--cache", "cache")
    assert result.stderr.splitlines() == [
        "error: spec.data.train.inputColumns: names 'dose', but 'nord/train.csv' has the columns age, label"
    ]


def test_classes_that_fit_at_no_site_are_said_once(pslgs: Pslgs, tables_job: Path) -> None:
    result = pslgs("check", tables_job, "--cache", "cache", "--set", "spec.data.classes=[a, b, c]")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.endswith("(mitte, nord)\n")


def test_a_class_that_looks_like_a_spelling_error_is_named(pslgs: Pslgs, tables_job: Path) -> None:
    Path("nord/train.csv").write_text("age,dose,label\n" + "1,2.5,ill\n3,4,well\n" * 4 + "1,2,wel\n")
    Path("mitte/train.csv").write_text("age,dose,label\n" + "1,2.5,ill\n3,4,well\n" * 4)
    more = ("--set", "spec.model.options.outputs=3", "--set", "spec.data.classes=[ill, wel, well]")
    result = pslgs("check", tables_job, "--cache", "cache", *more)
    warning = "the class 'wel' has a single sample; did you mean well?"
    assert (result.exit_code, result.stderr) == (0, f"warning: {warning}\n")
    assert checked(pslgs, tables_job, *more)[1]["warnings"] == [warning]


def test_a_file_of_a_similar_name_is_named(pslgs: Pslgs, tables_job: Path) -> None:
    result = pslgs("check", tables_job, "--set", "spec.data.train.path='{client}/trai.csv'")
    assert result.stderr.splitlines() == [
        "error: spec.data.train.path: is '{client}/trai.csv', which matches no file: '{client}' holds no "
        "'trai.csv'; did you mean train.csv? (mitte, nord)",
    ]


def test_a_client_without_data_here_is_refused(pslgs: Pslgs, tables_job: Path) -> None:
    result = pslgs("check", tables_job, "--client", "nrod")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: --client: is 'nrod', but the clients with data here are mitte, nord; did you mean nord?\n",
    )


def test_images_of_several_shapes_fail_the_check_unless_they_are_resized(
    pslgs: Pslgs, tmp_path: Path
) -> None:
    for i, size in enumerate([(8, 8), (8, 8), (8, 10), (8, 8)]):
        file = tmp_path / "images" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(file)
    (tmp_path / "images" / "a" / "._0.png").write_bytes(b"junk")
    job = tmp_path / "job.yaml"
    cnn = {"architecture": "cnn", "options": {"channels": 3, "classes": 2, "width": 2}, "cutLayer": "conv1"}
    job.write_text(manifest({"format": "ImageFolder", "path": f"{tmp_path}/images"}, cnn))

    code, document = checked(pslgs, job)
    assert code == 2
    assert document["datasets"][0]["shapes"] == [
        {"shape": [3, 8, 8], "samples": 3},
        {"shape": [3, 10, 8], "samples": 1},
    ]
    assert "differ in shape" in document["problems"][0]

    code, document = checked(pslgs, job, "--set", "spec.data.transforms=[{name: Resize, size: [8, 8]}]")
    assert (code, document["problems"]) == (0, [])
    assert document["datasets"][0]["leftOut"] == {"hidden": 1}
    assert document["datasets"][0]["classes"] == {"a": 2, "b": 2}
