"""Runs a scenario to its end, finds the seeds that violate an invariant, and shrinks what they show."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from fault_simulation.arithmetic import Weights
from fault_simulation.audit import Audit, InvariantError, check_end, require, resumes_exactly
from fault_simulation.clients import SimulatedClient
from fault_simulation.scenario import FOREVER, Fault, Kind, Scenario
from fault_simulation.server import Disk, SimulatedServer
from fault_simulation.world import Clock
from pslgs.coordination.messages import Finish
from pslgs.coordination.operation import Phase
from pslgs.spec.exit_codes import ExitCode

PATIENCE_SECONDS = 600.0
"""Virtual seconds after the last fault within which every job ends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        finish: Its end.
        steps: Steps committed.
        weights: Weights at the end.
        seconds: Virtual seconds that it took.
        started_without: Whether it began without one of the expected clients.
    """

    finish: Finish
    steps: int
    weights: Weights
    seconds: float
    started_without: bool


class Run:
    """One run of a scenario.

    Attributes:
        clock: The world's clock, with its trace.
    """

    def __init__(self, scenario: Scenario, *, traced: bool = False) -> None:
        self.clock = Clock(scenario.seed, traced=traced)
        self._scenario = scenario
        self._audit = Audit(scenario)
        self._disk = Disk(scenario.keep)
        self._forgets = False
        self._down_seconds = 0.0
        self._server: SimulatedServer | None = None
        profiles = scenario.clients | scenario.late
        self._clients = {
            name: SimulatedClient(name, profile, self.clock, lambda: self._server)
            for name, profile in profiles.items()
        }

    def to_the_end(self) -> Outcome:
        """Run until the job has ended.

        Raises:
            InvariantError: an invariant does not hold, or the job does not end.
        """
        scenario, clock = self._scenario, self.clock
        lasts = [fault.at + fault.seconds for fault in scenario.faults if fault.seconds < FOREVER]
        limit = PATIENCE_SECONDS + max([fault.at for fault in scenario.faults] + lasts, default=0.0)
        self._start_server()
        for name in scenario.clients:
            self._clients[name].start()
        for fault in scenario.faults:
            clock.at(fault.at, lambda fault=fault: self._strike(fault), timer=True)
        while not (self._server and self._server.finish and self._is_the_end(self._server.finish)):
            clock.step()
            require(clock.now <= limit, "the job has not ended after {:.0f} s", limit)
            self._check_something_is_awaited()
        server = self._server
        if server is None or server.finish is None:
            raise LookupError("there is no end")
        check_end(scenario, server.finish, server.coordinator)
        audit = self._audit
        return Outcome(
            server.finish, audit.ledger.step, audit.ledger.weights, clock.now, audit.started_without
        )

    def _check_something_is_awaited(self) -> None:
        server = self._server
        if server and server.running and not server.finish and not self.clock.awaited:
            idle = server.coordinator.phase is Phase.WAITING
            require(idle, "nothing is awaited in the phase {}", server.coordinator.phase)

    @staticmethod
    def _is_the_end(finish: Finish) -> bool:
        return finish.exit_code is not ExitCode.INTERRUPTED

    # The server's process

    def _start_server(self) -> None:
        if self._forgets:
            self._disk.forget()
            self._forgets = False
        self._server = SimulatedServer(
            self._scenario, self.clock, self._disk, self._audit, self._server_ended
        )

    def _server_ended(self) -> None:
        server = self._server
        if server and (server.finish is None or not self._is_the_end(server.finish)):
            self.clock.after(self._down_seconds, self._start_server)

    # Faults

    def _strike(self, fault: Fault) -> None:
        self.clock.note(fault, "FAULT ")
        server = self._server
        if fault.client:
            _AT_CLIENTS[fault.kind](self._clients[fault.client], fault)
        elif fault.kind in {Kind.DISK_FAILS, Kind.DISK_FORGETS}:
            self._strike_disk(fault)
        elif server and server.running and not server.finish:
            self._strike_server(server, fault)

    def _strike_disk(self, fault: Fault) -> None:
        if fault.kind is Kind.DISK_FORGETS:
            self._forgets = True
        else:
            self._disk.fails_until = self.clock.now + fault.seconds

    def _strike_server(self, server: SimulatedServer, fault: Fault) -> None:
        match fault.kind:
            case Kind.SERVER_CRASHES:
                self._down_seconds, server.crash_after = fault.seconds, fault.effects
            case Kind.SERVER_STALLS:
                server.stop_for(fault.seconds)
            case Kind.SERVER_STOPS:
                self._down_seconds = fault.seconds
                server.stop()
            case Kind.DIVERGES:
                server.diverges = True


_AT_CLIENTS: dict[Kind, Callable[[SimulatedClient, Fault], None]] = {
    Kind.LINK_BREAKS: lambda client, _: client.lose_link(silently=False),
    Kind.LINK_IS_SILENT: lambda client, _: client.lose_link(silently=True),
    Kind.LINK_IS_SLOW: lambda client, fault: client.slow_down(fault.seconds),
    Kind.CLIENT_DIES: lambda client, fault: client.die(fault.seconds),
    Kind.CLIENT_STALLS: lambda client, fault: client.stop_for(fault.seconds),
    Kind.CLIENT_REPEATS: lambda client, _: client.repeat_next(),
    Kind.CLIENT_SENDS_NAN: lambda client, _: client.spoil_next(),
    Kind.DATA_CHANGE: lambda client, fault: client.change_data(fault.effects - 3, fault.seconds),
    Kind.NEW_CLIENT: lambda client, _: client.start(),
    Kind.UNUSABLE: lambda client, _: client.report_unusable(),
}
"""Faults that hit a client."""


def check(scenario: Scenario) -> Outcome:
    """Run a scenario, and compare it with the same job undisturbed where it promises the same weights.

    Raises:
        InvariantError: an invariant does not hold, or something raised an error.
    """
    try:
        return _check(scenario)
    except InvariantError:
        raise
    except Exception as error:
        raise InvariantError(f"{type(error).__name__}: {error}") from error


def _check(scenario: Scenario) -> Outcome:
    outcome = Run(scenario).to_the_end()
    whole = outcome.finish.exit_code is ExitCode.FINISHED and not outcome.started_without
    if scenario.faults and whole and resumes_exactly(scenario):
        expected = Run(scenario.undisturbed).to_the_end()
        same = (outcome.steps, outcome.weights) == (expected.steps, expected.weights)
        require(same, "resumed {}, but undisturbed {}", outcome, expected)
    return outcome


def violation_of(scenario: Scenario) -> InvariantError | None:
    """Return what a scenario violates; None for nothing."""
    try:
        check(scenario)
    except InvariantError as violation:
        return violation
    return None


def shrunk(scenario: Scenario) -> Scenario:
    """Leave out faults of a scenario as long as it violates something."""
    size = max(1, len(scenario.faults) // 2)
    while True:
        smaller = next((each for each in _without(scenario, size) if violation_of(each)), None)
        if smaller is not None:
            scenario = smaller
        elif size == 1:
            return scenario
        else:
            size //= 2


def _without(scenario: Scenario, size: int) -> Iterator[Scenario]:
    """Yield scenarios without ``size`` faults in a row."""
    faults = scenario.faults
    for first in range(0, len(faults), size):
        yield replace(scenario, faults=faults[:first] + faults[first + size :])


def report(scenario: Scenario, lines: int = 60) -> str:
    """Describe what a scenario violates, with the end of its trace."""
    violation = violation_of(scenario)
    run = Run(scenario, traced=True)
    with suppress(Exception):
        run.to_the_end()
    trace: Iterable[str] = (run.clock.trace or [])[-lines:]
    found = "No invariant is violated." if violation is None else f"VIOLATED: {violation}"
    return "\n".join([str(scenario), *trace, found])
