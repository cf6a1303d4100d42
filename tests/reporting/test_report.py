import errno
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pslgs.reporting.page import summary, write_report, write_report_of_ended_run
from pslgs.spec.errors import InputError
from pslgs.telemetry.journal import Journal
from pslgs.telemetry.records import (
    CheckpointRecord,
    ClientEvaluation,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    StepRecord,
    encode,
)
from reporting.synthetic import run

MANIFEST = """
apiVersion: pslgs.dev/v1alpha1
kind: SplitTrainingJob
metadata: {name: cifar10}
spec:
  model: {architecture: resnet18-cifar, cutLayer: layer1}
  epochs: 4
  sampling: {strategy: Global}   # as in the paper
"""
TITLES = [
    "Batch deviation",
    "Loss",
    "Accuracy",
    "Where a step's time goes",
    "Samples by client",
    "Active clients",
]


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects what a test asks for."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self, html):
        super().__init__()
        self.open = []
        self.attributes = []
        self.text = ""
        self.ids = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.note(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, _tag, attrs):
        self.note(attrs)

    def note(self, attrs):
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text += data


@pytest.fixture
def report(tmp_path):
    return lambda records, manifest=MANIFEST: written(tmp_path, records, manifest)


@pytest.fixture(scope="session")
def eventful(tmp_path_factory):
    """The report of a run with troubles; drawing it takes a second."""
    return written(tmp_path_factory.mktemp("eventful"), run(), MANIFEST)


def written(folder, records, manifest):
    with Journal(folder / "metrics.jsonl") as journal:
        for record in records:
            journal.append(record)
    if manifest is not None:
        (folder / "job.yaml").write_text(manifest, encoding="utf-8")
    write_report(folder, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def plain(html):
    return re.sub(r"\s+", " ", Page(html).text)


@pytest.mark.slow
def test_a_report_tells_what_was_trained_and_how_it_went(report):
    text = plain(report(run(troubles=False)))

    for expected in (
        "cifar10",
        "outcome finished",
        "final accuracy 83.2 %",
        "steps 628",
        "model resnet18-cifar",
        "cut layer layer1",
        "sampling strategy Global",
        "epochs 4 of 4",
        "clients 16",
        "Healthy",
        "The batch deviation was within its 99 % bound in",
        "# as in the paper",
    ):
        assert expected in text


@pytest.mark.parametrize(("accuracy", "shown"), [(0.5, ["50.0\N{NO-BREAK SPACE}%"]), (None, [])])
def test_the_figures_of_a_run_have_an_accuracy_only_if_there_is_one(accuracy, shown, tmp_path):
    with Journal(tmp_path / "metrics.jsonl") as journal:
        journal.append(EvaluationRecord(0.0, 1, 1, 8, 0.5, accuracy, metric="Loss", metrics={"Loss": 0.5}))
    figures = dict(summary(tmp_path))
    assert [value for name, value in figures.items() if name == "final accuracy"] == shown
    assert figures["final loss"] == "0.5"


def test_the_figures_of_a_run_end_with_its_health(tmp_path):
    with Journal(tmp_path / "metrics.jsonl") as journal:
        for record in run(troubles=False, epochs=1):
            journal.append(record)
        assert summary(tmp_path)[-1] == ("health", "Healthy")
        journal.append(FinishRecord(0.0, 157, "QUORUM_LOST", "0 of 3 clients"))
    name, words = summary(tmp_path)[-1]
    assert name == "health"
    assert words.startswith("Needs a look: The run failed after")


@pytest.mark.parametrize(
    ("accuracies", "shown"),
    [
        pytest.param([1.0, 0.25, 0.25], "accuracy 50.0\N{NO-BREAK SPACE}%", id="one-determines-the-total"),
        pytest.param([1.0], None, id="one-client"),
        pytest.param([1.0, None, math.nan], None, id="one-known-value"),
    ],
)
def test_the_figures_of_a_run_count_each_client_once_too(accuracies, shown, tmp_path):
    clients = {
        f"c{number}": ClientEvaluation(20_000, 0.5, value, {"Accuracy": value})
        for number, value in enumerate(accuracies)
    }
    with Journal(tmp_path / "metrics.jsonl") as journal:
        journal.append(
            EvaluationRecord(
                *(0.0, 1, 1, 8, 0.5, 0.99, clients), metric="Accuracy", metrics={"Accuracy": 0.99}
            )
        )
    assert dict(summary(tmp_path)).get("mean over clients") == shown


def test_all_charts_are_drawn(eventful):
    assert eventful.count("<svg") == len(TITLES)
    assert [title for title in TITLES if title not in plain(eventful)] == []
    assert "nothing to show" not in eventful


def test_the_page_needs_nothing_from_elsewhere(eventful):
    page = Page(eventful)

    links = [
        value for name, value in page.attributes if name in {"src", "href", "xlink:href", "data", "action"}
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "@import" not in page.rawdata
    assert re.findall(r"url\((?!#)", page.rawdata) == []
    assert set(re.findall(r'https?://[^"\s<]+', page.rawdata)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_what_a_figure_refers_to_is_in_that_figure(eventful):
    for name, figure in zip(
        ("deviation", "loss", "accuracy", "time", "samples", "active"),
        re.findall(r"<svg.*?</svg>", eventful, flags=re.DOTALL),
        strict=True,
    ):
        ids = set(re.findall(r'\bid="([^"]+)"', figure))
        references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', figure))
        assert references <= ids
        assert all(identifier.startswith(f"{name}-") for identifier in ids)


def test_each_section_has_a_heading_and_what_scrolls_can_be_reached_by_keyboard(eventful):
    for section in re.findall(r"<section>.*?</section>", eventful, flags=re.DOTALL):
        assert "<h2>" in section
    assert set(re.findall(r"<(?:pre|div class=\"scroll\")[^>]*>", eventful)) == {
        '<pre tabindex="0">',
        '<div class="scroll" tabindex="0">',
    }


def test_figures_take_all_their_colours_from_the_page(eventful):
    for figure in re.findall(r"<svg.*?</svg>", eventful, flags=re.DOTALL):
        assert re.findall(r"(?:fill|stroke): (?!none|var\()[^;\"]+", figure) == []
    used = set(re.findall(r"var\((--\w+)\)", eventful))
    light, dark = re.findall(r":root \{(.*?)\}", eventful, flags=re.DOTALL)
    assert used <= set(re.findall(r"--\w+(?=:)", light))
    assert set(re.findall(r"--\w+(?=:)", light)) == set(re.findall(r"--\w+(?=:)", dark))


@pytest.mark.slow
def test_the_same_run_gives_the_same_report_byte_for_byte(tmp_path, report):
    first = report(run())
    write_report(tmp_path, tmp_path / "again.html")

    assert (tmp_path / "again.html").read_text(encoding="utf-8") == first


@pytest.mark.slow
def test_a_long_run_of_many_clients_makes_no_large_report(report):
    html = report(run(epochs=5, clients=150, samples=60_000, troubles=False))

    assert len(html) < 400_000
    assert "100 of 150 clients" in plain(html)


def test_troubles_are_in_the_table_of_events(eventful):
    text = plain(eventful)

    for expected in (
        "16 clients joined, the last: client edge-015-0 joined",
        "client edge-002-0 was lost: no answer within 30 s",
        "attempt 1 at step 178 was aborted",
        "the checkpoint of step 150 could not be written: No space left on device",
        "epoch 2 ended without 214 samples of edge-002-0 (214)",
        "client edge-002-0 joined again",
        "evaluation without edge-002-0",
        "finished: the training is complete",
    ):
        assert expected in text


def test_a_run_that_did_nothing_yet_has_a_report(report):
    html = report([], manifest=None)

    text = plain(html)
    assert "Nothing trained yet" in text
    assert "No step has been completed yet" in text
    assert "<svg" not in html


STEP = StepRecord(10.0, 1, 1, 1, 2.0, 8, 0.2, 0.2, 0.5, 0.1, {"a": (0, 8)}, {"server": 0.1})
REGRESSION = StepRecord(10.0, 1, 1, 1, 2.0, 8, None, None, None, 0.1, {"a": (0, 8)}, {"server": 0.1})
DIVERGED = StepRecord(10.0, 1, 1, 1, float("nan"), 8, 0.2, 0.2, 0.5, 0.1, {"a": (0, 8)}, {})


@pytest.mark.parametrize(
    ("records", "drawn"),
    [
        ([ClientRecord(1.0, 0, "a", "joined", "", 8)], 1),
        ([STEP], 5),
        ([REGRESSION, EvaluationRecord(11.0, 1, 1, 5, 0.5, None)], 4),
        ([DIVERGED], 4),
        ([EvaluationRecord(11.0, 1, 0, 5, float("inf"), 0.1)], 2),
        ([FinishRecord(1.0, 0, "QUORUM_LOST", "fewer than 2 clients")], 0),
        ([CheckpointRecord(1.0, 0, 0.1)], 0),
    ],
    ids=[
        "joined",
        "one step",
        "regression",
        "diverged",
        "evaluation only",
        "failed at once",
        "checkpoint only",
    ],
)
def test_a_partial_run_has_a_report(report, records, drawn):
    assert report(records).count("<svg") == drawn


def test_a_regression_has_no_empty_charts_and_no_column_of_accuracies(report):
    at_clients = {"a": ClientEvaluation(5, 0.5, None)}
    html = report([REGRESSION, EvaluationRecord(11.0, 1, 1, 5, 0.5, None, clients=at_clients)])
    assert "no data for this chart" not in html
    assert "Evaluation by client" in html
    assert "accuracy" not in plain(html).lower()


def test_what_clients_left_out_of_their_data_is_in_the_report(report):
    joins = [
        ClientRecord(1.0, 0, "a", "joined", "", 8, left_out={"damaged": 1}),
        ClientRecord(1.0, 0, "b", "joined", "", 8, left_out={"hidden": 1200, "damaged": 2}),
        ClientRecord(1.0, 0, "c", "joined", "", 8),
        ClientRecord(2.0, 0, "a", "joined", "", 8, left_out={"damaged": 3}),
    ]
    text = plain(report(joins))
    assert "Left out of the data" in text
    assert "3 damaged samples" in text
    assert "1,200 hidden files, 2 damaged samples" in text
    assert "1 damaged sample," not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "manifest",
    ["", "- a list", "spec: [", "metadata: 3", "metadata: {name: }", "spec: {model: resnet18}"],
    ids=["empty", "list", "no YAML", "wrong type", "no name", "wrong shape"],
)
def test_a_strange_manifest_does_not_keep_a_report_from_being_written(report, manifest):
    assert "a run" in plain(report([STEP], manifest))


@pytest.mark.slow
def test_names_and_messages_are_text_and_never_markup(report):
    evil = '<script>alert("$x$")</script>'
    step = StepRecord(10.0, 1, 1, 1, 2.0, 8, 0.2, 0.2, 0.5, 0.1, {evil: (0, 8), "$a$": (0, 1)}, {evil: 0.1})
    manifest = f"metadata: {{name: '{evil}'}}\n"

    html = report([ClientRecord(1.0, 0, evil, "lost", evil), step], manifest)

    assert "<script" not in html
    assert "$a$" in plain(html)


def test_a_folder_without_a_journal_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"has no metrics\.jsonl; name the output folder of a run"):
        write_report(tmp_path / "nowhere", tmp_path / "report.html")

    assert list(tmp_path.iterdir()) == []


def test_a_damaged_line_of_the_journal_is_left_out_with_a_warning(tmp_path, caplog):
    finish = FinishRecord(1.0, 7, "FINISHED", "trained 1 epochs, 7 steps")
    (tmp_path / "metrics.jsonl").write_bytes(b"{}\n" + encode(finish) + b"\n" + bytes(50) + b"\n")

    write_report(tmp_path, tmp_path / "report.html")

    assert "trained 1 epochs, 7 steps" in (tmp_path / "report.html").read_text()
    assert re.findall(r"left out of the report: \S*metrics\.jsonl, line (\d)", caplog.text) == ["1", "3"]


def test_a_full_disk_leaves_the_earlier_report_and_says_how_to_write_the_new_one(tmp_path, monkeypatch):
    finish = FinishRecord(1.0, 7, "FINISHED", "trained 1 epochs, 7 steps")
    (tmp_path / "metrics.jsonl").write_bytes(encode(finish) + b"\n")
    (tmp_path / "report.html").write_text("the earlier one")

    def full(path: Path, _: str, **__: object) -> int:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_text", full)
        problem = write_report_of_ended_run(tmp_path)
    assert problem == (
        f"{tmp_path}/report.html could not be written (No space left on device); "
        f"`pslgs report {tmp_path}` writes it later"
    )
    assert (tmp_path / "report.html").read_text() == "the earlier one"

    assert not write_report_of_ended_run(tmp_path)
    assert "trained 1 epochs" in (tmp_path / "report.html").read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["metrics.jsonl", "report.html"]
