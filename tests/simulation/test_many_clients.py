import resource

import pytest

from pslgs.simulation.api import simulate
from simulation.jobs import job


@pytest.mark.slow
def test_ten_thousand_clients_train_in_one_process():
    """Most hold nothing: there are 1,437 digits.  What a client that rests takes is counted in kilobytes."""
    simulate(job(epochs=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = simulate(job(epochs=3), clients=10_000, partition="iid")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert (result.clients, result.samples, len(result.steps)) == (10_000, 1_437, 3 * 23)
    assert result.accuracy > 0.5
