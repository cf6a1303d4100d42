"""A plan's bytes are those that a server counts in a real run."""

import json
import signal
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from costs.conftest import EXAMPLES
from local_runs.runs import LIMIT_SECONDS, pslgs_here, start, until
from pslgs.launch.local_run import free_port

pytestmark = pytest.mark.slow

CHANGES = ("--set", "spec.epochs=1000", "--set", "spec.data.evaluation=")
STEPS = 250


@pytest.mark.parametrize("compression", ["None", "Int8"])
def test_a_step_sends_what_the_plan_says(tmp_path: Path, compression: str) -> None:
    changes = (*CHANGES, "--set", f"spec.transport.compression={compression}")
    job, port = str(EXAMPLES / "digits.yaml"), free_port()
    planned = pslgs_here("plan", job, *changes, "--format", "json", cwd=tmp_path)
    own = next(cut for cut in json.loads(planned.stdout)["cuts"] if cut["layer"] == "hidden1")
    run = start("run", job, *changes, "--metrics-port", str(port), "--output", "run", cwd=tmp_path)
    looks: list[Counter[str]] = [Counter()]

    def enough() -> bool:
        """The server counts bytes now and then: a page tells of both at one time when it has just done so."""
        found = counters(port)
        if found["received"] > looks[-1]["received"]:
            looks.append(found)
        return looks[-1]["steps"] - looks[1]["steps"] >= STEPS if len(looks) > 1 else False

    try:
        until(enough, f"{STEPS} steps")
    finally:
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=LIMIT_SECONDS)
    seen = looks[-1] - looks[1]
    assert own["bytes_up"] == pytest.approx(seen["received"] / seen["steps"], rel=0.06)
    assert own["bytes_down"] == pytest.approx(seen["sent"] / seen["steps"], rel=0.06)
    assert own["bytes_up"] / own["bytes_down"] == pytest.approx(seen["received"] / seen["sent"], rel=0.01)


def counters(port: int) -> Counter[str]:
    """Read steps and bytes off one page of metrics; nothing while the server does not answer."""
    found: Counter[str] = Counter()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
    except (urllib.error.URLError, OSError):
        return found
    for sample in (sample for family in families for sample in family.samples):
        if sample.name == "pslgs_steps_total":
            found["steps"] += int(sample.value)
        if sample.name == "pslgs_wire_bytes_total":
            found[sample.labels["direction"]] += int(sample.value)
    return found
