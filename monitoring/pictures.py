"""``python -m monitoring.pictures [SECONDS]`` draws the dashboards of a job that runs for so long meanwhile.

Grafana isn't needed: panels are drawn where the dashboard's JSON has them, with what Prometheus answers.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from monitoring.canvas import Answer, Line, Picture, draw
from monitoring.demonstration import CHOICE, Demonstration, demonstration
from monitoring.generated import DASHBOARDS, RULES
from monitoring.questions import Question, mark_questions, named, panel_questions

FOLDER: Final = Path("docs/dashboards")
_SECONDS: Final = 150.0
_POINTS: Final = 150


async def main(seconds: float) -> None:
    """Run the job, lose a client in the middle and have it back, and draw."""
    with tempfile.TemporaryDirectory(prefix="pslgs-") as scratch:
        async with demonstration(Path(scratch), RULES.resolve()) as watched:
            await watched.prometheus.until("pslgs_steps_total > 1")
            began = time.time()
            await asyncio.sleep(seconds / 2)
            await watched.stop(1)
            await asyncio.sleep(seconds / 6)
            watched.start(1)
            await asyncio.sleep(seconds / 3)
            ended = time.time()
            pages = {path: json.loads(Path(path).read_text()) for path in DASHBOARDS}
            pictures = {path: await _picture(watched, page, began, ended) for path, page in pages.items()}
    for path, picture in pictures.items():
        draw(picture, FOLDER / Path(path).with_suffix(".png").name)


async def _picture(watched: Demonstration, page: Mapping[str, Any], began: float, ended: float) -> Picture:
    step = (ended - began) / _POINTS

    async def asked(question: Question) -> list[Line]:
        return [
            Line(
                named(question.legend, series["metric"]),
                series["metric"],
                [(float(at) - began, float(value)) for at, value in series["values"]],
            )
            for series in await watched.prometheus.over(question.expression, began, ended, step)
        ]

    answers = [
        Answer(panel, [line for each in panel_questions(panel, CHOICE) for line in await asked(each)])
        for panel in page["panels"]
    ]
    marks = {
        (mark["iconColor"], value / 1000 - began if mark["useValueForTime"] else at)
        for mark, question in zip(page["annotations"]["list"], mark_questions(page, CHOICE), strict=True)
        for line in await asked(question)
        for at, value in line.points
    }
    return Picture(page["title"], answers, sorted(marks))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else _SECONDS))
