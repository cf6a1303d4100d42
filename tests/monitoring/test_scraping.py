"""The translation of a PodMonitor, the queries that Grafana would send, and the words beside them."""

import pytest
from monitoring.canvas import written
from monitoring.demonstration import CHOICE, MANIFEST
from monitoring.questions import chosen, named
from monitoring.scraping import Pod, scrape_config

from pslgs_operator.manifests.server import server_job
from pslgs_operator.manifests.supporting import pod_monitor
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

JOB = TrainingJob.parse({**MANIFEST, "metadata": {**MANIFEST["metadata"], "uid": "0", "generation": 1}})


def test_a_pod_is_scraped_at_the_port_that_the_monitor_names():
    settings = Settings(pod_monitors=True)
    server = Pod("s", server_job(JOB, 3, settings), "127.0.0.1:1")
    config = scrape_config(pod_monitor(JOB, settings), [server])
    assert config["job_name"] == "research/digits"
    rules = config["relabel_configs"]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in rules if rule.get("action") == "keep"}
    chosen_targets = [
        target["targets"]
        for target in config["static_configs"]
        if all(target["labels"][label] == value for label, value in kept.items())
    ]
    assert len(config["static_configs"]) == 2
    assert chosen_targets == [["127.0.0.1:1"]]


def test_the_choice_is_put_in_and_what_it_does_not_name_stays():
    asked = chosen('rate(x{namespace="$namespace"}[$__rate_interval]) $unknown', CHOICE)
    assert asked == 'rate(x{namespace="research"}[10s]) $unknown'


def test_a_series_is_called_by_its_labels():
    assert named("{{client}} {{phase}}{{gone}}", {"client": "a", "phase": "forward"}) == "a forward"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        pytest.param(0.0123, "s", "12.3 ms", id="milliseconds"),
        pytest.param(7200, "s", "2 h", id="hours"),
        pytest.param(3 * 2**20, "Bps", "3 MiB/s", id="traffic"),
        pytest.param(0.961, "percentunit", "96.1%", id="share"),
        pytest.param(5829, "short", "5,829", id="number"),
        pytest.param(0, "bytes", "0", id="nothing"),
    ],
)
def test_a_value_is_written_with_its_unit(value, unit, text):
    assert written(value, unit) == text
