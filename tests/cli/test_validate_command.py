"""``pslgs validate`` summarizes a valid manifest, or reports all violations of an invalid one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Pslgs = Callable[..., Result]


def test_a_valid_manifest_is_summarized(pslgs: Pslgs, job: Path) -> None:
    result = pslgs("validate", job)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{job}: valid",
        "  job       digits",
        "  model     mlp, cut after hidden1",
        "  data      ScikitLearn digits, each client has its own",
        "  training  3 epochs, CrossEntropy, SGD at 0.01 (Constant)",
        "  sampling  Global, 128 samples a step, seed 0",
    ]
    assert result.stderr == ""


def test_each_violation_is_a_line_on_stderr(pslgs: Pslgs, bad_job: Path) -> None:
    result = pslgs("validate", bad_job)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: spec.epochs: is missing; give it (number of passes over the training data)",
        "error: spec.epoch: is unknown; did you mean epochs?",
    ]


def test_fields_are_overridden_by_set_options(pslgs: Pslgs, job: Path) -> None:
    partition = "spec.data.partition={scheme: ExtendedDirichlet, clients: 4}"
    result = pslgs("validate", job, "--set", "spec.epochs=7", "--set", partition)
    assert "7 epochs" in result.stdout
    assert "ExtendedDirichlet over 4 clients with 2 classes each" in result.stdout


def test_a_valid_manifest_is_summarized_as_json(pslgs: Pslgs, job: Path) -> None:
    document = json.loads(pslgs("validate", job, "--format", "json").stdout)
    assert (document["file"], document["valid"], document["violations"]) == (str(job), True, [])
    assert document["summary"]["model"] == "mlp, cut after hidden1"


def test_violations_are_reported_as_json(pslgs: Pslgs, bad_job: Path) -> None:
    result = pslgs("validate", bad_job, "--format", "json")
    document = json.loads(result.stdout)
    assert result.exit_code == 2
    assert document["valid"] is False
    assert [each["path"] for each in document["violations"]] == ["spec.epochs", "spec.epoch"]
    assert result.stderr == ""


def test_a_missing_file_is_one_error_line(pslgs: Pslgs, tmp_path: Path) -> None:
    result = pslgs("validate", tmp_path / "no.yaml")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'no.yaml'}: cannot be read: No such file or directory\n"


def test_a_malformed_set_option_is_one_error_line(pslgs: Pslgs, job: Path) -> None:
    result = pslgs("validate", job, "--set", "spec.epochs")
    assert result.exit_code == 2
    assert result.stderr == "error: --set: is 'spec.epochs', must read path=value, e.g. spec.epochs=3\n"


def test_a_model_in_two_parts_and_data_of_each_client_are_summarized(pslgs: Pslgs, job: Path) -> None:
    own = "spec.data.train={format: Custom, entrypoint: 'hospital.scans:dataset'}"
    result = pslgs("validate", job, "--set", own, "--set", "spec.model={architecture: 'hospital.nets:parts'}")
    assert "hospital.nets:parts, in two parts" in result.stdout
    assert "Custom hospital.scans:dataset, each client has its own" in result.stdout


@pytest.fixture
def images_job(tmp_path: Path, job: Path) -> Path:
    """A manifest of images at two sites, with a file that is no image."""
    for name in ("Site_1/cat/0.png", "Site_1/dog/0.png", "Site_1/dog/notes.txt", "b/cat/0.png", ".DS_Store"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    train = f"{{format: ImageFolder, path: '{tmp_path}/data/{{client}}'}}"
    job.write_text(job.read_text().replace("{format: ScikitLearn, name: digits}", train))
    return job


def test_data_on_this_machine_are_listed_with_what_is_left_out(pslgs: Pslgs, images_job: Path) -> None:
    result = pslgs("validate", images_job)
    assert result.exit_code == 0
    assert [
        line.removeprefix("  files     ").replace("\N{NO-BREAK SPACE}", " ")
        for line in result.stdout.splitlines()
        if line.startswith("  files")
    ] == [
        "the data of 'Site_1' are those of the client site-1",
        "not a client's data: 1 hidden file (.DS_Store)",
        "spec.data.train of b: 1 image (cat 1)",
        "spec.data.train of site-1: 2 images (cat 1, dog 1); left out: 1 file that is not an image "
        "(dog/notes.txt)",
    ]


def test_found_data_are_listed_as_json(pslgs: Pslgs, images_job: Path) -> None:
    document = json.loads(pslgs("validate", images_job, "--format", "json").stdout)
    assert [(each["client"], each["leftOut"]) for each in document["data"]] == [
        ("b", {}),
        ("site-1", {"not_an_image": 1}),
    ]


def test_data_on_other_machines_are_no_violation(pslgs: Pslgs, job: Path) -> None:
    result = pslgs("validate", job, "--set", "spec.data.train={format: NumPy, path: /nowhere/x.npz}")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"{job}: valid, but some of its data cannot be read here"
    assert (
        "spec.data.train: is '/nowhere/x.npz', which matches no file: '/' holds no 'nowhere'" in result.stdout
    )


WRONG_PATHS = {
    "no folder": ("data/{client}", "the working folder holds no 'data'; correct the path, or mount the data"),
    "a similar folder": ("sacns/{client}", "the working folder holds no 'sacns'; did you mean scans?"),
    "an empty folder": ("scans/{client}.npz", "'scans' holds no '{client}.npz'"),
}


@pytest.mark.parametrize(("path", "why"), WRONG_PATHS.values(), ids=WRONG_PATHS.keys())
def test_a_path_that_leads_to_no_client_is_told(
    path: str, why: str, pslgs: Pslgs, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.parent)
    Path("scans").mkdir()
    data = ("--set", f"spec.data.train={{format: NumPy, path: '{path}'}}")
    result = pslgs("validate", job, *data)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"{job}: valid, but some of its data cannot be read here"
    told = f"there are no data at {path} here: {why}"
    assert f"  files     spec.data.train: {told}" in result.stdout
    checked = pslgs("check", job, *data)
    assert checked.exit_code == 2
    assert f"error: spec.data.train.path: {told}" in checked.stderr


def test_names_that_cannot_be_clients_are_violations(pslgs: Pslgs, images_job: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "Zürich").mkdir()
    result = pslgs("validate", images_job)
    assert result.exit_code == 2
    assert "error: spec.data.train.path: leads to 'Zürich'" in result.stderr
