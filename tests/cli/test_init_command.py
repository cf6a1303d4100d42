"""``pslgs init`` writes a manifest that ``validate`` and ``check`` accept, and overwrites none unasked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from pslgs.cli.main import app

Pslgs = Callable[..., Result]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def init() -> Callable[..., Result]:
    """Run ``pslgs init`` in this process, with the lines that a user types."""
    runner = CliRunner()
    return lambda *arguments, typed="": runner.invoke(
        app, ["init", "--cache", "cache", *map(str, arguments)], input=typed
    )


def images(mode: str = "RGB", size: int = 12) -> None:
    for site in ("North", "south"):
        for i, name in enumerate(("no", "yes", "no", "yes", "no", "yes")):
            file = Path("data", site, name, f"{i}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (size, size)).save(file)


def csv() -> None:
    for site in ("a", "b"):
        rows = [f"{i};{i * 0.5};{'ill' if i % 3 else 'well'};p{i}" for i in range(10)]
        for part in ("train", "test"):
            file = Path("data", site, f"{part}.csv")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(["age;dose; state ;name", *rows]))


def regression() -> None:
    Path("data").mkdir()
    rows = [f"{i},{i + 0.25}" for i in range(10)]
    Path("data", "all.csv").write_text("\n".join(["x1,y", *rows]))


def numpy() -> None:
    Path("data").mkdir()
    for site in ("a", "b"):
        x = np.arange(8 * 16 * 16 * 3, dtype=np.uint8).reshape(8, 16, 16, 3)
        np.savez(Path("data", f"{site}.npz"), x=x, y=np.arange(8) % 3)


def float_images() -> None:
    Path("data").mkdir()
    np.savez(Path("data", "all.npz"), x=np.ones((12, 10, 10, 3), np.float32), y=np.arange(12) % 2)


def parquet(column: list[Any]) -> None:
    for site in ("a", "b"):
        Path("data", site).mkdir(parents=True)
        table = pa.table({"x": column, "label": ["p", "q"] * (len(column) // 2), "note": ["-"] * len(column)})
        pq.write_table(table, Path("data", site, "part-0.parquet"))


def series() -> None:
    parquet([[[float(i)] * 64, [1.0] * 64] for i in range(8)])


def tokens() -> None:
    parquet([[*range(1, 4 + i % 3)] for i in range(8)])


DATA = {
    "images": (images, "cnn"),
    "grey images": (lambda: images("L"), "cnn"),
    "a table of classes": (csv, "mlp"),
    "a table of values": (regression, "mlp"),
    "arrays of images": (numpy, "cnn"),
    "float images with channels last": (float_images, "cnn"),
    "series": (series, "series-cnn"),
    "tokens": (tokens, "text-cnn"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("make", "network"), DATA.values(), ids=DATA.keys())
def test_nothing_would_stop_a_job_over_what_was_found(
    make: Callable[[], None], network: str, init: Pslgs, pslgs: Pslgs
) -> None:
    make()
    result = init("data", "--yes")
    assert result.exit_code == 0, result.output
    document = yaml.safe_load(Path("job.yaml").read_text())
    assert document["spec"]["model"]["architecture"] == network
    assert pslgs("validate", "job.yaml").exit_code == 0
    checked = pslgs("check", "job.yaml", "--cache", "cache")
    assert checked.exit_code == 0, checked.output


def test_what_was_found_is_said(init: Pslgs) -> None:
    csv()
    result = init("data", "--yes")
    assert result.stdout.splitlines() == [
        "found CSV data: data/{client}/train.csv",
        "  samples are numbers of the shape 2",
        "  left out, because they are texts: name",
        "    to use one, give a column of 0 and 1 for each of its categories",
        "  a: 10 samples (ill 6, well 4)",
        "  b: 10 samples (ill 6, well 4)",
        "  evaluation: data/{client}/test.csv",
        f"job.yaml: a job called {yaml.safe_load(Path('job.yaml').read_text())['metadata']['name']}",
        "  next: pslgs check job.yaml; pslgs run job.yaml",
    ]


def test_the_user_is_asked_until_the_answers_can_be_used(init: Pslgs) -> None:
    csv()
    typed = ["age,weight", "dose", "", "well,ill", "no.such:net", "mlp", "hidden9", "hidden2"]
    result = init("data", typed="\n".join(["state", *typed, ""]))
    assert result.exit_code == 0, result.output
    spec = yaml.safe_load(Path("job.yaml").read_text())["spec"]
    assert spec["data"]["train"]["inputColumns"] == ["dose"]
    assert spec["data"]["classes"] == ["ill", "well"]
    assert spec["model"]["cutLayer"] == "hidden2"
    assert "names 'weight', but the columns are age, dose, state, name" in result.output
    assert "no layer 'hidden9'" in result.output


def test_options_answer_without_questions(init: Pslgs) -> None:
    images()
    answers = ["--name", "scans", "--model", "cnn", "--cut-layer", "conv2", "--classes", "yes,no,maybe"]
    result = init("data", *answers, "--epochs", 3, "--output", "jobs/scans.yaml")
    assert result.exit_code == 0, result.output
    document = yaml.safe_load(Path("jobs", "scans.yaml").read_text())
    assert document["metadata"]["name"] == "scans"
    assert document["spec"]["model"]["options"] == {"channels": 3, "classes": 3}
    assert document["spec"]["data"]["classes"] == ["yes", "no", "maybe"]
    assert document["spec"]["epochs"] == 3


def test_a_manifest_is_not_overwritten_unasked(init: Pslgs) -> None:
    images()
    Path("job.yaml").write_text("mine")
    refused = init("data", "--yes")
    assert refused.exit_code == 2
    assert "is 'job.yaml', which exists; give --force" in refused.stderr
    declined = init("data", typed="n\n")
    assert (declined.exit_code, "--output: is 'job.yaml', which exists" in declined.stderr) == (2, True)
    assert "Overwrite" not in init("nope", typed="y\n").output
    assert Path("job.yaml").read_text() == "mine"
    assert init("data", "--yes", "--force").exit_code == 0
    assert Path("job.yaml").read_text() != "mine"


def test_an_answer_that_cannot_be_used_is_an_error_where_nobody_is_asked(init: Pslgs) -> None:
    images()
    result = init("data", "--yes", "--cut-layer", "nowhere")
    assert (result.exit_code, Path("job.yaml").exists()) == (2, False)
    assert "no layer 'nowhere'" in result.stderr


def test_questions_that_nobody_answers_are_an_error_of_the_input(init: Pslgs) -> None:
    csv()
    Path("mine.yaml").touch()
    for options in ([], ["--output", "mine.yaml"]):
        result = init("data", *options)
        assert (result.exit_code, result.stderr) == (
            2,
            "error: there is no terminal to ask at; give --yes\n",
        )


def test_missing_values_are_named_by_the_path_of_the_data(init: Pslgs) -> None:
    csv()
    with Path("data/b/train.csv").open("a") as file:
        file.write("\n;;ill;p")
    result = init("data", "--yes")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 2)
    assert result.stderr.startswith(
        "error: data/{client}/train.csv: holds 'data/b/train.csv', whose column 'age' has 1 missing value; "
        "leave those rows out, or fill them in before"
    )


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("n/a?", "correct it, or leave out that row or the column (line 4)"),
        ("0,5", "write numbers with a decimal point and nothing between thousands, such as 1234.5 (line 4)"),
    ],
    ids=["text", "local number"],
)
def test_a_column_of_numbers_is_not_left_out_for_a_wrong_cell(cell: str, remedy: str, init: Pslgs) -> None:
    csv()
    file = Path("data/b/train.csv")
    file.write_text(file.read_text().replace("2;1.0;", f"2;{cell};"))
    Path("data/a/train.csv").write_text(file.read_text())
    result = init("data", "--yes")
    assert result.exit_code == 2
    told = f"holds 'data/a/train.csv', whose column 'dose' holds '{cell}', which is not a number; {remedy}"
    assert result.stderr.splitlines()[0] == f"error: data/{{client}}/train.csv: {told}"
    assert init("data", "--yes", "--inputs", "age").exit_code == 0


def test_a_column_of_local_numbers_is_refused_and_one_of_dates_is_a_text(init: Pslgs) -> None:
    csv()
    rows = [f"{i};{i},5;{'ill' if i % 3 else 'well'};1{i}.03.2024" for i in range(10)]
    Path("data/a/train.csv").write_text("\n".join(["age;dose;state;day", *rows]))
    result = init("data/a/train.csv", "--yes")
    assert result.exit_code == 2
    assert "column 'dose' holds '0,5', which is not a number, and 9 more such values; write" in result.stderr
    assert (
        "left out, because they are texts: day" in init("data/a/train.csv", "--yes", "--inputs", "age").stdout
    )


def test_labels_that_need_a_look_are_named(init: Pslgs) -> None:
    csv()
    for file in Path("data").glob("*/train.csv"):
        file.write_text(file.read_text() + "\n3;4;il;p")
        break
    result = init("data", "--yes")
    assert "  warning: the class 'il' has a single sample; did you mean ill?" in result.stdout.splitlines()
    assert "  # the class 'il' has a single sample; did you mean ill?" in Path("job.yaml").read_text()


def test_labels_of_a_regression_that_are_large_are_named(init: Pslgs) -> None:
    regression()
    assert "warning" not in init("data", "--yes").stdout
    file = Path("data/all.csv")
    file.write_text(file.read_text() + "\n11,20000")
    result = init("data", "--yes", "--force")
    told = "labels are not scaled, and go up to 20,000: divide them in the data so that most are between"
    assert f"  warning: {told}" in result.stdout
    assert f"  # {told}" in Path("job.yaml").read_text()


def test_a_damaged_table_is_one_error_line(init: Pslgs) -> None:
    Path("data").mkdir()
    Path("data", "a.parquet").write_bytes(b"PAR1 junk")
    result = init("data", "--yes")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: data/a.parquet: cannot be read")
    assert len(result.stderr.splitlines()) == 1
