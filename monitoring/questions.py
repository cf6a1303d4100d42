"""The queries of a dashboard's JSON as Grafana would send them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Choice = Mapping[str, str]
"""A variable or one of Grafana's own words -> what stands for it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query of a panel, or of a kind of marks.

    Attributes:
        asked_by: The title of the panel.
    """

    asked_by: str
    expression: str
    legend: str


def panel_questions(panel: Mapping[str, Any], choice: Choice) -> list[Question]:
    """Return the queries of a panel; a row has none."""
    return [
        Question(panel["title"], chosen(target["expr"], choice), target.get("legendFormat", ""))
        for target in panel.get("targets", ())
    ]


def questions(page: Mapping[str, Any], choice: Choice) -> Iterator[Question]:
    """Return the queries of all panels."""
    for panel in page["panels"]:
        yield from panel_questions(panel, choice)


def mark_questions(page: Mapping[str, Any], choice: Choice) -> list[Question]:
    """Return the queries of what is marked in all panels."""
    return [
        Question(mark["name"], chosen(mark["expr"], choice), mark["titleFormat"])
        for mark in page["annotations"]["list"]
    ]


def chosen(text: str, choice: Choice) -> str:
    """Put the choice into a text; what it does not name stays."""
    return re.sub(r"\$(\w+)", lambda found: choice.get(found[1], found[0]), text)


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Call a series by its labels."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)
