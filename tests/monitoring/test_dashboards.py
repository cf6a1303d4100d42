"""What Grafana's dashboard linter asks, and what somebody who opens a dashboard expects."""

import itertools
import json
import re

import pytest
from monitoring.generated import DASHBOARDS
from monitoring.questions import questions
from monitoring.surface import surfaces

COUNTERS = {metric.name for each in surfaces().values() for metric in each if metric.kind == "counter"}
SAMPLES = re.compile(r"(?<![\w:])((?:pslgs|process)_\w+)(\{[^}]*\})?(\[[^\]]*\])?")
BY = re.compile(r"\b(?:by|on)\s*\([^)]*\)")

CHOSEN = {"type": "prometheus", "uid": "${datasource}"}


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.rsplit("/", 1)[1])
def page(request, root):
    return json.loads((root / request.param).read_text())


@pytest.fixture
def panels(page):
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def variables(page):
    return {variable["name"]: variable for variable in page["templating"]["list"]}


def samples(page):
    """Metric, selector and range of whatever the panels look at."""
    for question in questions(page, {}):
        yield from SAMPLES.findall(BY.sub("", question.expression))


def test_the_data_source_is_chosen_by_the_user(page):
    assert variables(page)["datasource"]["type"] == "datasource"
    assert variables(page)["datasource"]["query"] == "prometheus"
    told = [panel.get("datasource") for panel in page["panels"] if panel["type"] != "row"]
    asked = [target["datasource"] for panel in page["panels"] for target in panel.get("targets", ())]
    marks = [mark["datasource"] for mark in page["annotations"]["list"]]
    assert {json.dumps(each) for each in (*told, *asked, *marks)} == {json.dumps(CHOSEN)}


def data_sources(part):
    """Every data source that is named anywhere in a dashboard."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "datasource")
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from data_sources(inner)


def test_a_dashboard_is_imported_without_edits(page):
    assert [each for each in data_sources(page) if each != CHOSEN] == []
    assert not {"__inputs", "__requires", "version", "iteration"} & page.keys()
    assert variables(page)["datasource"].get("current", {}) == {}
    assert re.findall(r"\$\{DS_\w+\}", json.dumps(page)) == []


def test_its_address_is_fixed_and_its_name_is_said(page):
    assert re.fullmatch(r"pslgs-[a-z-]{1,34}", page["uid"])
    assert page["title"]
    assert page["description"]
    assert "id" not in page or page["id"] is None
    assert page["tags"] == ["pslgs"]


def test_the_dashboards_lead_to_each_other_with_time_and_choice(page):
    [link] = page["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["pslgs"])
    assert link["includeVars"]
    assert link["keepTime"]


def test_every_panel_has_a_title_of_its_own_a_description_and_a_unit(panels):
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


def test_no_two_panels_overlap_and_none_is_wider_than_the_page(page):
    taken = [panel["gridPos"] for panel in page["panels"]]
    assert all(each["x"] + each["w"] <= 24 for each in taken)
    for one, other in itertools.combinations(taken, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart, (one, other)


def test_panels_are_told_apart_by_numbers_that_stay(page):
    assert [panel["id"] for panel in page["panels"]] == list(range(1, len(page["panels"]) + 1))


def test_every_series_is_selected_by_namespace_and_job_or_by_the_operators(page):
    chosen = re.compile(
        r'namespace=~?"\$namespace", (pslgs_dev_job|job_name)=~?"\$job"|namespace=~"\$operator"'
    )
    assert [sample for sample in samples(page) if not chosen.search(sample[1])] == []


def test_every_variable_is_used_and_every_word_is_known(page):
    used = set(re.findall(r"\$(\w+)", json.dumps([page["panels"], page["templating"], page["annotations"]])))
    grafanas = {"__rate_interval", "__interval", "__range", "__all"}
    assert used - grafanas - {"datasource"} == set(variables(page)) - {"datasource"}


def test_counters_are_looked_at_by_their_growth_only(page):
    for question in questions(page, {}):
        for name, _, span in SAMPLES.findall(BY.sub("", question.expression)):
            if name in COUNTERS | {"process_cpu_seconds_total"} or name.endswith(
                ("_sum", "_count", "_bucket")
            ):
                assert span, question
            if span:
                grown = re.compile(rf"(rate|increase)\({name}\b")
                assert grown.search(question.expression), question
    assert "irate" not in json.dumps(page)


def test_rates_are_taken_over_an_interval_that_fits_the_scrapes(page):
    spans = {span for *_, span in samples(page) if span}
    assert spans <= {"[$__rate_interval]", "[$__range]"}


def test_every_series_has_a_name_that_its_labels_fill(page, panels):
    for panel in panels:
        for target in panel["targets"]:
            if panel["type"] == "table":
                continue
            assert target["legendFormat"], panel["title"]
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                by = " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))
                assert label in by.replace(",", " ").split(), panel["title"]


def test_lost_clients_checkpoints_and_evaluations_are_marked(root):
    page = json.loads((root / "charts/pslgs/files/dashboards/training-health.json").read_text())
    marks = {mark["name"]: mark for mark in page["annotations"]["list"]}
    assert set(marks) == {"Lost clients", "Checkpoints", "Evaluations"}
    assert all(mark["titleFormat"] and mark["iconColor"] for mark in marks.values())
    assert marks["Checkpoints"]["useValueForTime"]
    assert marks["Checkpoints"]["expr"].endswith("* 1000")


def test_a_job_of_the_fleet_leads_to_its_training(root):
    page = json.loads((root / "charts/pslgs/files/dashboards/fleet.json").read_text())
    links = [
        link["url"]
        for panel in page["panels"]
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", ())
    ]
    assert len(links) == 7
    assert all(link.startswith("/d/pslgs-training-health?var-namespace=${__") for link in links)
