import re

import pytest

from pslgs import compare
from pslgs.comparison.figures import draw_steps_per_epoch
from pslgs.comparison.report import charts, render
from pslgs.comparison.tables import columns
from pslgs.comparison.text import answers
from simulation.jobs import document, job

OF_BATCHES = [
    "Batch deviation over the epoch",
    "Batch size over the epoch",
    "Active clients over the epoch",
    "Steps per epoch",
    "Traffic",
]


def told(comparison):
    return [answer.text for answer in answers(comparison)]


@pytest.mark.slow
def test_the_page_needs_nothing_else(looked):
    page = render(looked)
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\((?!#)|@import|<script""", page)
    assert "#0102" not in page
    assert (
        re.search(r"var\(--(?!ink|faint|one|two|three|four|five|six|alarm|page|card|muted|good)", page)
        is None
    )
    assert page.count("<svg") == len(charts(looked)) == 6
    assert "<dt>70 % of links</dt> <dd>1 Gbit/s up, 1 Gbit/s down" in page


@pytest.mark.slow
def test_the_page_is_the_same_each_time(trained):
    comparison, folder = trained
    assert render(comparison) == (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_only_what_there_is_is_drawn(looked, trained):
    assert [chart.title for chart in charts(looked)] == [
        *OF_BATCHES,
        "LatentDirichlet: time against deviation",
    ]
    assert [chart.title for chart in charts(trained[0])] == ["Accuracy over steps", *OF_BATCHES]


@pytest.mark.slow
def test_everything_is_drawn_where_everything_is_known():
    comparison = compare(
        job(model=NORMALIZED),
        strategies=["LatentDirichlet", "SequentialSplit", "FederatedAveraging"],
        seeds=1,
        profile="lan:0.5,wifi:0.5",
        recalibration_batches=4,
    )
    assert len(charts(comparison)) == 9
    page = render(comparison)
    assert "var(--five)" in page
    assert "var(--six)" in page
    averaging = comparison.rows()[2]
    assert averaging.modelled_seconds.mean == pytest.approx(2 * averaging.step_seconds.mean)
    assert "SequentialSplit</text>" in draw_steps_per_epoch(comparison)
    assert "FederatedAveraging</text>" not in draw_steps_per_epoch(comparison)
    assert (averaging.steps_per_epoch, averaging.batch_size, averaging.small_batches) == (None, None, None)


NORMALIZED = {
    "architecture": "cnn",
    "options": {"image": [1, 8, 8], "channels": 1, "width": 4},
    "cutLayer": "conv1",
}


def test_the_three_questions_are_answered_with_figures(looked):
    skew, allocation, price = told(looked)
    assert "In the last fifth of an epoch's steps the batch deviation is" in skew
    assert re.search(
        r"[\d.]+\s% \(FixedLocal\), [\d.]+\s% \(FixedProportionalLocal\) have less than half", skew
    )
    assert re.search(r"0\.\d{3} being expected, and \d+ of 92\ssteps are above the 99 % bound", allocation)
    assert "with FixedLocal" in allocation
    assert "times all samples (368 kB)" in price
    assert "Over the assumed links a step takes" in price


def test_accuracies_are_compared_where_there_are_some(trained):
    _, allocation, price = told(trained[0])
    assert re.search(r"Global ends at [\d.]+\s%.*, [\d.]+ points (higher|lower) than FixedLocal", allocation)
    assert "No links were assumed" in price
    assert re.search(r"An accuracy of \d+ % is reached .*by Global", price)


def test_a_question_is_not_answered_from_nothing():
    alone = compare(job(), strategies=["LatentDirichlet"], seeds=1, schedule_only=True)
    assert told(alone) == [
        "No strategy without global sampling was simulated; simulate FixedLocal to compare with it.",
        "Global was not simulated.",
        "Global was not simulated.",
    ]


def test_a_question_without_an_answer_is_not_asked():
    unevaluated = {key: each for key, each in document()["spec"]["data"].items() if key != "evaluation"}
    rounds = job(epochs=1, data=unevaluated)
    averaged = compare(rounds, strategies=["Centralized", "FederatedAveraging"], seeds=1)
    assert [each.question for each in answers(averaged)] == [
        "Does global sampling help?",
        "What does it cost in traffic and time?",
    ]
    alone = compare(rounds, strategies=["FederatedAveraging"], seeds=1)
    assert told(alone)[0] == (
        "Centralized was not simulated; simulate it to compare with all data in one place."
    )


def test_columns_in_which_nothing_is_known_are_left_out(looked, trained):
    assert [column.title for column in columns(trained[0])] == [
        "strategy",
        "accuracy",
        "steps/epoch",
        "clients/step",
        "deviation",
        "at the end",
        "small batches",
        "bytes/epoch",
        next(column.title for column in columns(trained[0]) if column.title.startswith("steps to")),
    ]
    assert {"modelled step", "modelled time"} <= {column.title for column in columns(looked)}
