"""``pslgs validate`` summarizes a valid manifest, or reports all violations of an invalid one."""

import json
from collections.abc import Callable
from pathlib import Path

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
