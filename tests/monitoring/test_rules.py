"""Rules that can be followed: every series exists, every alert has a runbook, every recording its value."""

import re
import subprocess

import yaml
from monitoring.surface import surfaces

from pslgs_operator.manifests.podmonitor import JOB_TARGET_LABEL

ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
PARTS = ("What it means", "How to look", "What to do")
OF = 'namespace="team", pslgs_dev_job="digits", pod="s"'
SERIES = {
    f"pslgs_samples_total{{{OF}}}": "0+60x60",
    f'pslgs_wire_bytes_total{{{OF}, direction="sent", kind="parameters"}}': "0+30x60",
    f'pslgs_wire_bytes_total{{{OF}, direction="sent", kind="control"}}': "0+30x60",
    f'pslgs_step_seconds_sum{{{OF}, phase="server"}}': "0+3x60",
    f'pslgs_step_seconds_count{{{OF}, phase="server"}}': "0+60x60",
    f'pslgs_step_seconds_sum{{{OF}, phase="update"}}': "0x60",
    f'pslgs_step_seconds_count{{{OF}, phase="update"}}': "0x60",
    f"pslgs_batch_deviation{{{OF}}}": "0.1x60",
    f'pslgs_batch_deviation_bound{{{OF}, confidence="0.99"}}': "0.3x60",
}
JOB = 'namespace="team", pslgs_dev_job="digits"'
RECORDED = {
    "pslgs:samples:rate5m": [(f"{{{JOB}}}", 1)],
    "pslgs:wire_bytes:rate5m": [(f'{{direction="sent", {JOB}}}', 1)],
    "pslgs:step_seconds:mean5m": [(f'{{phase="server", {JOB}}}', 0.05)],
    "pslgs:batch_deviation_above_bound:ratio30m": [(f"{{{JOB}}}", 0)],
}


def test_rules_are_sound_by_prometheus_own_check(promtool, rules_file):
    subprocess.run([promtool, "check", "rules", rules_file], check=True, capture_output=True)


def test_rules_look_at_metrics_and_recordings_that_exist(rules):
    told = {metric.name for each in surfaces().values() for metric in each}
    told |= {
        metric.name + ending
        for each in surfaces().values()
        for metric in each
        for ending in ENDINGS.get(metric.kind, ())
    }
    without = "|".join((r"\{[^}]*\}", r"(by|on) \([^)]*\)"))
    for rule in rules.values():
        looked_at = set(re.findall(r"pslgs[\w:]+", re.sub(without, "", rule["expr"])))
        assert looked_at - told - set(rules) == set(), rule


def test_rules_name_the_job_by_the_label_that_scraping_gives(rules):
    for rule in rules.values():
        if "job_namespace" not in rule["expr"] and "operator" not in rule["expr"]:
            assert f"by (namespace, {JOB_TARGET_LABEL}" in rule["expr"] or ":" in rule["expr"], rule


def test_every_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(rules, root):
    for name, rule in rules.items():
        if "alert" in rule:
            assert re.fullmatch(r"Pslgs[A-Z]\w+", name)
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"]["summary"].endswith(".")
            assert rule["annotations"]["description"].endswith(".")
            assert (root / rule["annotations"]["runbook_url"]).exists()


def test_every_runbook_is_of_an_alert_and_answers_three_questions(rules, root):
    runbooks = {path.stem: path.read_text() for path in (root / "docs" / "runbooks").glob("Pslgs*.md")}
    alerts = {name for name, rule in rules.items() if "alert" in rule}
    assert set(runbooks) == alerts
    for name, text in runbooks.items():
        assert f"Alert `{name}`" in text
        assert [part for part in PARTS if f"\n## {part}\n" not in text] == []
    listed = re.findall(r"\]\((\w+)\.md\)", (root / "docs" / "runbooks" / "README.md").read_text())
    assert set(listed) == alerts


def test_links_between_runbooks_lead_somewhere(root):
    folder = root / "docs" / "runbooks"
    links = {link for path in folder.glob("*.md") for link in re.findall(r"\]\(([^\s#)]+)", path.read_text())}
    assert [link for link in links if not (folder / link).exists()] == []


def test_recordings_have_the_values_that_their_names_say(promtool, rules_file, tmp_path):
    asked = [
        {
            "expr": name,
            "eval_time": "40m",
            "exp_samples": [{"labels": name + labels, "value": value} for labels, value in samples],
        }
        for name, samples in RECORDED.items()
    ]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": asked}
    written = tmp_path / "test.yaml"
    document = {"rule_files": [str(rules_file)], "evaluation_interval": "1m", "tests": [test]}
    written.write_text(yaml.safe_dump(document))
    ended = subprocess.run([promtool, "test", "rules", written], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_recording_is_tested(rules):
    assert {name for name, rule in rules.items() if "record" in rule} == set(RECORDED)
