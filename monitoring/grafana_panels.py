"""Panels as Grafana has them."""

from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as option
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.panel import Panel, Query

DATASOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

AnyPanel = timeseries.Panel | stat.Panel | table.Panel


def grafana_panel(panel: Panel) -> AnyPanel:
    """Make Grafana's."""
    made = _made(panel)
    made.title(panel.title).description(panel.description).datasource(DATASOURCE).unit(panel.unit)
    made.height(panel.height).span(panel.width).thresholds(_thresholds(panel))
    if panel.link:
        made.data_links([dashboard.DashboardLink("Training health of this job").url(panel.link)])
    for number, query in enumerate(panel.queries):
        made.with_target(_target(query, chr(ord("A") + number), now=panel.kind == "table"))
    return made


def _made(panel: Panel) -> AnyPanel:
    match panel.kind:
        case "lines":
            return _lines(panel)
        case "table":
            return _table(panel)
        case "numbers" | "names":
            texts = option.BigValueTextMode
            only_name = panel.kind == "names"
            several = len(panel.queries) > 1 or "{{" in panel.queries[0].legend
            text = texts.NAME if only_name else texts.VALUE_AND_NAME if several else texts.VALUE
            newest = common.ReduceDataOptions().calcs(["lastNotNull"])
            graph = option.BigValueGraphMode.NONE if several else option.BigValueGraphMode.AREA
            return stat.Panel().text_mode(text).reduce_options(newest).graph_mode(graph)


def _lines(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(option.LegendDisplayMode.TABLE)
    legend.show_legend(show_legend=True).placement(option.LegendPlacement.BOTTOM).calcs(
        ["lastNotNull", "mean", "max"]
    )
    tooltip = common.VizTooltipOptions().mode(option.TooltipDisplayMode.MULTI)
    made = timeseries.Panel().legend(legend).tooltip(tooltip.sort(option.SortOrder.DESCENDING))
    made.line_width(1).fill_opacity(40 if panel.stacked else 0).show_points(option.VisibilityMode.NEVER)
    if panel.unit == "percentunit":
        made.min(0).max(1)
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(option.StackingMode.NORMAL))
    if panel.limits:
        dashed = option.GraphTresholdsStyleMode.DASHED
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    return made


def _table(panel: Panel) -> table.Panel:
    """Show labels as columns, and leave the rest away."""
    organized = {
        "includeByName": dict.fromkeys(panel.columns, True),
        "indexByName": {label: number for number, label in enumerate(panel.columns)},
        "renameByName": dict(panel.columns),
        "excludeByName": {"Time": True, "Value": True, "__name__": True},
    }
    return table.Panel().with_transformation(model.DataTransformerConfig("organize", options=organized))


def _target(query: Query, letter: str, *, now: bool) -> prometheus.Dataquery:
    made = prometheus.Dataquery().ref_id(letter).datasource(DATASOURCE).expr(query.expression)
    made.legend_format(query.legend)
    return made.instant().format(PromQueryFormat.TABLE) if now else made.range()


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    first = model.Threshold(color="green")
    steps = [first, *(model.Threshold(limit, colour) for limit, colour in panel.limits.items())]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
