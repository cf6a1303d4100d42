"""Jobs under random faults in virtual time: no seed violates an invariant, and a violation is noticed."""

from dataclasses import replace

import pytest

from fault_simulation.__main__ import run_seeds
from fault_simulation.audit import InvariantError
from fault_simulation.run import Run, report, shrunk, violation_of
from fault_simulation.scenario import FOREVER, Fault, Kind, Scenario, scenario
from fault_simulation.server import SimulatedServer
from pslgs.coordination.epoch import Epoch
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient

SEEDS = 10_000
FAST = 20
CHUNK = 500


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(FAST), id="fast"),
        *(
            pytest.param(range(first, first + CHUNK), marks=pytest.mark.slow, id=f"from {first} on")
            for first in range(FAST, SEEDS, CHUNK)
        ),
    ],
)
def test_no_seed_violates_an_invariant(seeds):
    found = run_seeds(seeds)
    assert not found.violations, report(shrunk(scenario(found.violations[0])))
    assert found.ends["FINISHED"] > 0.6 * len(seeds)
    assert found.steps > 5 * len(seeds)


def disturbed() -> Scenario:
    """Return a scenario with a crash, of a job that waits for its clients and has no deadline."""
    drawn = next(
        each
        for each in map(scenario, range(1000))
        if each.settings.on_lost is OnLostClient.WAIT and each.settings.epochs > 1 and len(each.clients) > 2
    )
    faults = (Fault(0.9, Kind.LINK_BREAKS, "c0"), Fault(2.0, Kind.SERVER_CRASHES, seconds=1.0, effects=2))
    settings = replace(drawn.settings, deadline=None, client_timeout=5.0)
    return replace(drawn, settings=settings, faults=faults)


def test_the_same_seed_gives_the_same_run():
    drawn = disturbed()
    first, second = (Run(drawn, traced=True) for _ in range(2))
    assert first.to_the_end() == second.to_the_end()
    assert first.clock.trace == second.clock.trace
    assert any("the server crashes" in line for line in first.clock.trace)


def test_a_violation_is_shrunk_to_the_faults_that_it_needs_and_reported_with_its_trace(monkeypatch):
    def forgets(epoch, client, samples):
        return samples

    monkeypatch.setattr(Epoch, "remaining", forgets)
    many = tuple(Fault(0.1 * number, Kind.LINK_IS_SLOW, "c1", 0.1) for number in range(9))
    drawn = disturbed()
    drawn = replace(drawn, faults=(*many, *drawn.faults))
    assert isinstance(violation_of(drawn), InvariantError)
    smallest = shrunk(drawn)
    assert len(smallest.faults) <= 1
    told = report(smallest)
    assert "VIOLATED: " in told
    assert f"seed {drawn.seed}" in told
    assert "OrderForward" in told


def test_a_coordinator_that_waits_for_nothing_is_noticed(monkeypatch):
    monkeypatch.setattr(SimulatedServer, "_compute", lambda *_: None)
    violation = violation_of(disturbed().undisturbed)
    assert "nothing is awaited in the phase Phase.SERVER_STEP" in str(violation)


def test_an_update_of_other_gradients_is_noticed(monkeypatch):
    original = SimulatedServer._receive

    def adds_a_little(server, connection, answer):
        answer.values[0] += 1e-9
        original(server, connection, answer)

    monkeypatch.setattr(SimulatedServer, "_receive", adds_a_little)
    assert "but centralized" in str(violation_of(disturbed().undisturbed))


def test_an_error_of_the_coordinator_is_a_violation(monkeypatch):
    def fails(*_):
        raise KeyError("c7")

    monkeypatch.setattr(Epoch, "commit", fails)
    assert str(violation_of(disturbed())) == "KeyError: 'c7'"


def test_a_client_that_never_returns_ends_a_job_that_waits():
    drawn = disturbed()
    outcome = Run(replace(drawn, faults=(Fault(0.5, Kind.CLIENT_DIES, "c0", FOREVER),))).to_the_end()
    assert outcome.finish.exit_code is ExitCode.QUORUM_LOST
    assert outcome.seconds > drawn.settings.quorum_timeout
