"""Every query of dashboards and rules, asked of a real Prometheus that scrapes a real job."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from monitoring.demonstration import CHOICE, Demonstration, demonstration
from monitoring.generated import DASHBOARDS
from monitoring.questions import mark_questions, questions

from pslgs.observability.journal import read
from pslgs.observability.records import StepRecord

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OF_CLIENT = 'pslgs_client_samples_total{client="edge-1-0"}'
SCRAPE_SECONDS = 1.0


@pytest.fixture
async def watched(tmp_path, rules_file):
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed; `apt-get install prometheus` has it")
    async with demonstration(tmp_path, rules_file) as made:
        await made.until("increase(pslgs_steps_total[15s]) > 10")
        yield made


async def lose_and_return(watched: Demonstration) -> None:
    """Lose a client for long enough to be scraped, and have it back."""
    await watched.stop(1)
    await watched.until('pslgs_clients{state="lost"} == 1')
    assert await watched.prometheus.now(OF_CLIENT) == []
    watched.start(1)
    await watched.until(OF_CLIENT)


async def unanswered(watched: Demonstration, root: Path) -> list[str]:
    asked, now = watched.prometheus, time.time()
    missing = []
    for path in DASHBOARDS:
        page = json.loads((root / path).read_text())
        missing += [each for each in questions(page, CHOICE) if not await asked.now(each.expression)]
        marks = mark_questions(page, CHOICE)
        missing += [each for each in marks if not await asked.over(each.expression, now - 240, now, 1)]
    return [f"{each.asked_by}: {each.expression}" for each in missing]


def selectors(expression: str) -> set[str]:
    """The series that a rule looks at."""
    return set(re.findall(r"pslgs[\w:]*(?:\{[^}]*\})?", re.sub(r"by \([^)]*\)|on \([^)]*\)", "", expression)))


async def unfed(watched: Demonstration) -> list[str]:
    """What the rules look at and is not there, whatever the phase is that they look for."""
    told = await watched.prometheus.rules()
    wanted = {name for rule in told for name in selectors(rule["query"])}
    without_phase = {re.sub(r',?phase=~?"[^"]*"', "", name) for name in wanted}
    return [name for name in sorted(without_phase) if not await watched.prometheus.now(name)]


async def wrong_deviations(watched: Demonstration) -> tuple[int, list[tuple[float, float]]]:
    """How many values were scraped, and those that the journal does not have from just before."""
    [series] = await watched.prometheus.now("pslgs_batch_deviation[1m]")
    scraped = [(float(at), float(value)) for at, value in series["values"]]
    steps = [record for record in read(watched.run / "metrics.jsonl") if isinstance(record, StepRecord)]

    def committed(at: float) -> set[float | None]:
        newest = max(step.time for step in steps if step.time <= at)
        near = (newest, at + 2 * SCRAPE_SECONDS)
        return {step.deviation for step in steps if near[0] <= step.time <= near[1]}

    return len(scraped), [(at, value) for at, value in scraped if value not in committed(at)]


async def test_every_query_is_answered_and_the_deviation_is_the_journals(watched, root):
    await lose_and_return(watched)
    await watched.until("pslgs_client_evaluation_accuracy")
    await watched.until("pslgs_checkpoint_timestamp_seconds")
    await watched.until("pslgs:batch_deviation_above_bound:ratio30m")

    assert await unanswered(watched, root) == []
    assert await unfed(watched) == []

    rules = await watched.prometheus.rules()
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert {rule["name"] for rule in rules if rule.get("state") == "firing"} <= {"PslgsClientLost"}

    count, wrong = await wrong_deviations(watched)
    assert count > 5
    assert wrong == []
