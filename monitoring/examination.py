"""Whether dashboards and rules find what they look for in a Prometheus that watches a job."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitoring.generated import DASHBOARDS
from monitoring.prometheus import Prometheus
from monitoring.questions import Choice, mark_questions, questions
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import StepRecord

SCRAPE_SECONDS: Final = 1.0
_MARKS_SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class Examination:
    """A Prometheus, and what somebody chooses above the panels.

    Attributes:
        root: The folder of the repository.
    """

    asked: Prometheus
    choice: Choice
    root: Path

    async def unanswered(self) -> list[str]:
        """Return the queries of panels and marks that have no answer, marks in the last minutes."""
        now = time.time()
        missing = []
        for path in DASHBOARDS:
            page = json.loads((self.root / path).read_text())
            missing += [
                each for each in questions(page, self.choice) if not await self.asked.now(each.expression)
            ]
            missing += [
                each
                for each in mark_questions(page, self.choice)
                if not await self.asked.over(each.expression, now - _MARKS_SECONDS, now, 1)
            ]
        return [f"{each.asked_by}: {each.expression}" for each in missing]

    async def unfed(self) -> list[str]:
        """Return the series that a rule looks at and that are not there, whatever their phase is."""
        rules = await self.asked.rules()
        wanted = {name for rule in rules for name in _series(rule["query"])}
        without_phase = {re.sub(r',?phase=~?"[^"]*"', "", name) for name in wanted}
        return [name for name in sorted(without_phase) if not await self.asked.now(name)]

    async def broken_rules(self) -> list[str]:
        """Return the rules that cannot be evaluated."""
        return [rule["name"] for rule in await self.asked.rules() if rule["health"] != "ok"]

    async def firing(self) -> set[str]:
        """Return the alerts that fire."""
        return {rule["name"] for rule in await self.asked.rules() if rule.get("state") == "firing"}

    async def deviations(self, journal: Path) -> tuple[int, list[tuple[float, float]]]:
        """Compare the deviation of the last minute, as it was scraped, with what the server logged.

        Returns:
            How many values were scraped, and time and value of those that no step has that was committed
            just before.
        """
        [series] = await self.asked.now("pslgs_batch_deviation[1m]")
        scraped = [(float(at), float(value)) for at, value in series["values"]]
        steps = [record for record in read(journal) if isinstance(record, StepRecord)]

        def committed(at: float) -> set[float | None]:
            newest = max(step.time for step in steps if step.time <= at)
            near = (newest, at + 2 * SCRAPE_SECONDS)
            return {step.deviation for step in steps if near[0] <= step.time <= near[1]}

        return len(scraped), [(at, value) for at, value in scraped if value not in committed(at)]


def _series(expression: str) -> set[str]:
    plain = re.sub(r"by \([^)]*\)|on \([^)]*\)", "", expression)
    return set(re.findall(r"pslgs[\w:]*(?:\{[^}]*\})?", plain))
