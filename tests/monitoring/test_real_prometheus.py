"""Every query of dashboards and rules, asked of a real Prometheus that scrapes a real job."""

import shutil

import pytest
from monitoring.demonstration import CHOICE, Demonstration, demonstration
from monitoring.examination import Examination

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OF_CLIENT = 'pslgs_client_samples_total{client="edge-1-0"}'


@pytest.fixture
async def watched(tmp_path, rules_file):
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed; `apt-get install prometheus` has it")
    async with demonstration(tmp_path, rules_file) as made:
        await made.prometheus.until("increase(pslgs_steps_total[15s]) > 10")
        yield made


async def lose_and_return(watched: Demonstration) -> None:
    """Lose a client for long enough to be scraped, and have it back."""
    await watched.stop(1)
    await watched.prometheus.until('pslgs_clients{state="lost"} == 1')
    assert await watched.prometheus.now(OF_CLIENT) == []
    watched.start(1)
    await watched.prometheus.until(OF_CLIENT)


async def test_every_query_is_answered_and_the_deviation_is_the_journals(watched, root):
    await lose_and_return(watched)
    await watched.prometheus.until("pslgs_client_evaluation_accuracy")
    await watched.prometheus.until("pslgs_checkpoint_timestamp_seconds")
    await watched.prometheus.until("pslgs:batch_deviation_above_bound:ratio30m")

    examined = Examination(watched.prometheus, CHOICE, root)
    assert await examined.unanswered() == []
    assert await examined.unfed() == []
    assert await examined.broken_rules() == []
    assert await examined.firing() <= {"PslgsClientLost"}

    count, wrong = await examined.deviations(watched.run / "metrics.jsonl")
    assert count > 5
    assert wrong == []
