"""Dashboards as Grafana has them."""

import json
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from monitoring.grafana_panels import DATASOURCE, grafana_panel
from monitoring.panel import Dashboard, Mark, Variable

TAG: Final = "pslgs"
REFRESH: Final = "10s"
_ALL: Final = model.VariableOption(selected=True, text=["All"], value=["$__all"])


def as_json(page: Dashboard) -> str:
    """Write what Grafana imports."""
    return json.dumps(_page(page).build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _page(page: Dashboard) -> dashboard.Dashboard:
    made = dashboard.Dashboard(page.title).uid(page.uid).description(page.description).tags([TAG])
    made.timezone("browser").time("now-1h", "now").refresh(REFRESH).readonly()
    made.tooltip(model.DashboardCursorSync.CROSSHAIR)
    links = dashboard.DashboardLink("Training").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    made.link(links.include_vars(include_vars=True).keep_time(keep_time=True))
    made.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for variable in page.variables:
        made.with_variable(_variable(variable))
    for mark in page.marks:
        made.annotation(_Annotation(mark))
    identity = 0
    for row in page.rows:
        made.with_row(dashboard.Row(row.question).id(identity := identity + 1))
        for panel in row.panels:
            made.with_panel(grafana_panel(panel).id(identity := identity + 1))
    return made


def _variable(variable: Variable) -> dashboard.QueryVariable:
    series, label = variable.values
    made = dashboard.QueryVariable(variable.name).label(variable.label).datasource(DATASOURCE)
    made.query(f"label_values({series}, {label})").sort(model.VariableSort.ALPHABETICAL_ASC)
    # The jobs of the chosen time, also those that have ended since.
    made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    if variable.several:
        made.multi(multi=True).include_all(include_all=True).all_value(".*").current(_ALL)
    return made


class _Annotation(Builder[model.AnnotationQuery]):
    """Grafana's Prometheus data source has fields of annotations that the SDK doesn't know."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def build(self) -> model.AnnotationQuery:
        return _Marks(self._mark)


class _Marks(model.AnnotationQuery):
    def __init__(self, mark: Mark) -> None:
        super().__init__(mark.name, DATASOURCE, icon_color=mark.colour, expr=mark.expression)
        self._beside = {"titleFormat": mark.title, "useValueForTime": mark.timestamps}

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self._beside
