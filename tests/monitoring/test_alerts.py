"""Each alert against series in which it must fire, must not yet, and must be over again."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

OF = 'namespace="team", pslgs_dev_job="digits", pod="s"'
SERVER = {"namespace": "team", "pslgs_dev_job": "digits"}
LISTED = {"job_namespace": "team", "job_name": "digits"}
PHASE = 'pslgs_job_phase{job_namespace="team", job_name="digits", pod="o", phase=%r}'
OPERATOR = 'namespace="pslgs-system", pod="o"'


def phase(name: str) -> str:
    return PHASE.replace("%r", f'"{name}"')


@dataclass(frozen=True, kw_only=True)
class Case:
    """Series in promtool's notation with a sample a minute, and when (in minutes) the alert is what.

    `value` is what the description says of it.
    """

    alert: str
    series: dict[str, str]
    quiet: int
    fires: int
    over: int
    labels: dict[str, str] = field(default_factory=lambda: SERVER)
    value: str = ""


CASES = [
    Case(
        alert="PslgsDeviationAboveBound",
        series={
            f"pslgs_batch_deviation{{{OF}}}": "0.1x30 0.4x30 0.1x60",
            f'pslgs_batch_deviation_bound{{{OF}, confidence="0.99"}}': "0.3x120",
        },
        quiet=40,
        fires=60,
        over=100,
        value="96.69%",
    ),
    Case(
        alert="PslgsTrainingDiverged",
        series={f"pslgs_training_loss{{{OF}}}": "2 2 NaN NaN NaN NaN 2x10"},
        quiet=1,
        fires=5,
        over=7,
    ),
    Case(
        alert="PslgsTrainingDiverged",
        series={f"pslgs_training_loss{{{OF}}}": "2 2 Inf Inf -Inf -Inf 2x10"},
        quiet=1,
        fires=5,
        over=7,
    ),
    Case(
        alert="PslgsNoStep",
        series={
            f"pslgs_steps_total{{{OF}}}": "0+9x10 90x30 100+9x30",
            f'pslgs_phase{{{OF}, phase="Training"}}': "1x70",
        },
        quiet=24,
        fires=30,
        over=45,
    ),
    Case(
        alert="PslgsStepsGivenUp",
        series={
            f"pslgs_steps_total{{{OF}}}": "0+9x60",
            f'pslgs_steps_aborted_total{{{OF}, reason="client_lost"}}': "0x10 0+5x20 100x30",
        },
        quiet=10,
        fires=25,
        over=50,
    ),
    Case(
        alert="PslgsServerSilent",
        series={f"pslgs_heartbeat_timestamp_seconds{{{OF}}}": "0+60x5 300x5 660+60x10"},
        quiet=6,
        fires=10,
        over=13,
        value="5m 0s",
    ),
    Case(
        alert="PslgsClientLost",
        series={f'pslgs_clients{{{OF}, state="lost"}}': "0x5 2x10 0x10"},
        quiet=6,
        fires=10,
        over=18,
        value="2",
    ),
    Case(
        alert="PslgsQuorumLost",
        series={f'pslgs_phase{{{OF}, phase="Waiting"}}': "0x5 1x10 0x10"},
        quiet=9,
        fires=13,
        over=18,
    ),
    Case(
        alert="PslgsClientsRefused",
        series={f'pslgs_clients_refused_total{{{OF}, reason="Impostor"}}': "0x5 1x30"},
        quiet=4,
        fires=8,
        over=20,
        labels=SERVER | {"reason": "Impostor"},
    ),
    Case(
        alert="PslgsCheckpointFailed",
        series={f"pslgs_checkpoint_failures_total{{{OF}}}": "0x5 1x60"},
        quiet=4,
        fires=8,
        over=50,
    ),
    Case(
        alert="PslgsCheckpointStale",
        series={
            f"pslgs_checkpoint_timestamp_seconds{{{OF}}}": "0x150 9000x30",
            f'pslgs_phase{{{OF}, phase="Training"}}': "1x200",
        },
        quiet=122,
        fires=130,
        over=155,
        value="2h 10m 0s",
    ),
    Case(
        alert="PslgsCheckpointStale",
        series={
            f"process_start_time_seconds{{{OF}}}": "0x200",
            'process_start_time_seconds{namespace="team", pslgs_dev_job="digits", pod="c"}': "-90000x200",
            f"pslgs_epochs{{{OF}}}": "9x200",
            f"pslgs_checkpoint_timestamp_seconds{{{OF}}}": "_x140 8400x60",
            f'pslgs_phase{{{OF}, phase="Training"}}': "1x200",
        },
        quiet=122,
        fires=130,
        over=155,
        value="2h 10m 0s",
    ),
    Case(
        alert="PslgsJobFailed",
        series={phase("Running"): "1x10 stale", phase("Failed"): "_x10 1x100"},
        quiet=9,
        fires=15,
        over=80,
        labels=LISTED,
    ),
    Case(
        alert="PslgsJobDegraded",
        series={phase("Degraded"): "_x5 1x30 stale"},
        quiet=19,
        fires=25,
        over=40,
        labels=LISTED,
    ),
    Case(
        alert="PslgsJobPending",
        series={phase("Pending"): "1x40 stale", phase("Running"): "_x40 1x9"},
        quiet=29,
        fires=35,
        over=45,
        labels=LISTED,
    ),
    Case(
        alert="PslgsOperatorAbsent",
        series={f'pslgs_operator_watch_age_seconds{{{OPERATOR}, resource="jobs"}}': "9x5 stale _x20 9x9"},
        quiet=12,
        fires=20,
        over=30,
        labels={},
    ),
    Case(
        alert="PslgsOperatorWatchStale",
        series={f'pslgs_operator_watch_age_seconds{{{OPERATOR}, resource="jobs"}}': "9x5 1000x9 9x9"},
        quiet=7,
        fires=10,
        over=18,
        labels={"namespace": "pslgs-system", "pod": "o", "resource": "jobs"},
        value="16m 40s",
    ),
    Case(
        alert="PslgsOperatorErrors",
        series={
            f'pslgs_operator_reconciles_total{{{OPERATOR}, result="success"}}': "0+1x80",
            f'pslgs_operator_reconciles_total{{{OPERATOR}, result="error"}}': "0x20 0+5x20 100x40",
        },
        quiet=20,
        fires=38,
        over=75,
        labels={"namespace": "pslgs-system", "pod": "o"},
    ),
]


def expected(case: Case, rule: dict) -> dict:
    """What promtool expects of an alert that fires, its texts filled in."""
    description = re.sub(r"{{ \$value.*?}}", case.value, rule["annotations"]["description"])
    for label, value in case.labels.items():
        description = description.replace(f"{{{{ $labels.{label} }}}}", value)
    return {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {**rule["annotations"], "description": description},
    }


def checks(case: Case, rule: dict, rules_file: Path) -> dict:
    firing = {case.quiet: [], case.fires: [expected(case, rule)], case.over: []}
    return {
        "rule_files": [str(rules_file)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": text} for name, text in case.series.items()],
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": case.alert, "exp_alerts": alerts}
                    for minute, alerts in firing.items()
                ],
            }
        ],
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_when_it_should_and_then_only(case, rules, rules_file, promtool, tmp_path):
    written = tmp_path / "test.yaml"
    written.write_text(yaml.safe_dump(checks(case, rules[case.alert], rules_file)))
    ended = subprocess.run([promtool, "test", "rules", written], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_is_tested(rules):
    assert {rule["alert"] for rule in rules.values() if "alert" in rule} == {case.alert for case in CASES}
