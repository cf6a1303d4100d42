"""Panels as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["short", "none", "s", "ops", "bytes", "Bps", "percentunit"]


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and what its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A picture of some queries.

    Attributes:
        description: What is seen, and what it would mean if it were otherwise.
        unit: Of all its series, in Grafana's words.
        width: Of the dashboard's 24 columns.
        kind: Lines over time, single numbers, single names (of series), or a table of the newest samples.
        stacked: Whether lines are parts of a whole.
        limits: From which value on -> in which colour.
        columns: Of a table: label -> heading.
        link: Where a series leads, in Grafana's own syntax.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    width: int = 8
    height: int = 8
    kind: Literal["lines", "numbers", "names", "table"] = "lines"
    stacked: bool = False
    limits: Mapping[float, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    link: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that answer one question."""

    question: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What is chosen above the panels.

    Attributes:
        values: The series and the label that has its values.
        several: Whether more than one may be chosen; then all are at first.
    """

    name: str
    label: str
    values: tuple[str, str]
    several: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A kind of event that is marked in all panels.

    Attributes:
        title: Of one of them, in Grafana's syntax.
        timestamps: Whether the values are the times of the events (Unix time in milliseconds).
    """

    name: str
    expression: str
    title: str
    colour: str
    timestamps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page; ``uid`` is the end of its address, and stays."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    marks: tuple[Mark, ...] = ()
