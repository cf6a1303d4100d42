"""``pslgs validate`` says that a manifest is fine, or all that is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Pslgs = Callable[..., Result]


def test_a_valid_manifest_is_summed_up(pslgs: Pslgs, job: Path) -> None:
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


def test_every_violation_is_a_line_on_stderr(pslgs: Pslgs, bad_job: Path) -> None:
    result = pslgs("validate", bad_job)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: spec.epochs: is missing; give it (number of passes over the training data)",
        "error: spec.epoch: is unknown; did you mean epochs?",
    ]


def test_values_are_set_from_the_command_line(pslgs: Pslgs, job: Path) -> None:
    partition = "spec.data.partition={scheme: ExtendedDirichlet, clients: 4}"
    result = pslgs("validate", job, "--set", "spec.epochs=7", "--set", partition)
    assert "7 epochs" in result.stdout
    assert "ExtendedDirichlet over 4 clients with 2 classes each" in result.stdout


def test_a_valid_manifest_is_told_to_programs(pslgs: Pslgs, job: Path) -> None:
    told = json.loads(pslgs("validate", job, "--format", "json").stdout)
    assert (told["file"], told["valid"], told["violations"]) == (str(job), True, [])
    assert told["summary"]["model"] == "mlp, cut after hidden1"


def test_violations_are_told_to_programs(pslgs: Pslgs, bad_job: Path) -> None:
    result = pslgs("validate", bad_job, "--format", "json")
    told = json.loads(result.stdout)
    assert result.exit_code == 2
    assert told["valid"] is False
    assert [each["path"] for each in told["violations"]] == ["spec.epochs", "spec.epoch"]
    assert result.stderr == ""


def test_a_missing_file_is_one_sentence(pslgs: Pslgs, tmp_path: Path) -> None:
    result = pslgs("validate", tmp_path / "no.yaml")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'no.yaml'}: cannot be read: No such file or directory\n"


def test_a_bad_setting_is_one_sentence(pslgs: Pslgs, job: Path) -> None:
    result = pslgs("validate", job, "--set", "spec.epochs")
    assert result.exit_code == 2
    assert result.stderr == "error: --set: is 'spec.epochs', must read path=value, e.g. spec.epochs=3\n"


def test_a_model_in_two_parts_and_own_data_are_summed_up(pslgs: Pslgs, job: Path) -> None:
    own = "spec.data.train={format: Custom, entrypoint: 'hospital.scans:dataset'}"
    result = pslgs("validate", job, "--set", own, "--set", "spec.model={architecture: 'hospital.nets:parts'}")
    assert "hospital.nets:parts, in two parts" in result.stdout
    assert "Custom hospital.scans:dataset, each client has its own" in result.stdout
