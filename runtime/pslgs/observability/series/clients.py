"""Prometheus series of clients: samples, response times and accuracy; removed when the client is lost."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from pslgs.observability.records import ClientRecord, EvaluationRecord, StepRecord

LIVE = "live"
LOST = "lost"
EXCHANGES = ("forward", "backward")


class ClientSeries:
    """Number of clients by state, and series of single clients for at most ``limit`` live clients."""

    def __init__(self, registry: CollectorRegistry, quorum: int, limit: int) -> None:
        self._limit = limit
        self._states: dict[str, str] = {}
        self._shown: set[str] = set()
        self._count = Gauge(
            "pslgs_clients", "Number of clients of the job by state", ["state"], registry=registry
        )
        Gauge("pslgs_quorum_clients", "Minimum number of live clients for a step", registry=registry).set(
            quorum
        )
        self._samples = Counter(
            "pslgs_client_samples",
            "Samples that a client contributed to committed steps",
            ["client"],
            registry=registry,
        )
        self._remaining = Gauge(
            "pslgs_client_remaining_samples",
            "Samples that a client has not yet contributed in this epoch",
            ["client"],
            registry=registry,
        )
        self._seconds = Summary(
            "pslgs_client_response_seconds",
            "Time from a request to the complete answer of a client in seconds",
            ["client", "phase"],
            registry=registry,
        )
        self._accuracy = Gauge(
            "pslgs_client_evaluation_accuracy",
            "Accuracy of the last evaluation on a client's own data (0 to 1)",
            ["client"],
            registry=registry,
        )
        self._show_counts()

    def step(self, record: StepRecord) -> None:
        """Count the samples of a step by client, and observe response times."""
        for client in filter(self._admit, record.allocation):
            self._samples.labels(client).inc(record.allocation[client][1])
        for client in filter(self._admit, record.response_seconds):
            for phase, seconds in zip(EXCHANGES, record.response_seconds[client], strict=True):
                self._seconds.labels(client, phase).observe(seconds)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Set the accuracy of clients in an evaluation, in place of that of earlier evaluations."""
        self._accuracy.clear()
        for client in filter(self._admit, record.clients):
            accuracy = record.clients[client].accuracy
            if accuracy is not None:
                self._accuracy.labels(client).set(accuracy)

    def change(self, record: ClientRecord) -> None:
        """Set the state of a client that joined or was lost."""
        self.set_states({**self._states, record.client: LOST if record.change == LOST else LIVE})

    def set_states(self, states: Mapping[str, str]) -> None:
        """Set the states of all clients, and remove the series of lost and of unlisted ones."""
        for client in self._shown - {client for client, state in states.items() if state != LOST}:
            self._remove(client)
        self._states = dict(states)
        self._show_counts()

    def set_remaining(self, samples: Mapping[str, int]) -> None:
        """Set the number of samples that clients have left in this epoch."""
        for client in filter(self._admit, samples):
            self._remaining.labels(client).set(samples[client])

    def _admit(self, client: str) -> bool:
        if client not in self._shown and len(self._shown) < self._limit and self._states.get(client) != LOST:
            self._shown.add(client)
        return client in self._shown

    def _remove(self, client: str) -> None:
        self._shown.discard(client)
        for series in (self._samples, self._remaining, self._accuracy):
            series.remove(client)
        for phase in EXCHANGES:
            self._seconds.remove(client, phase)

    def _show_counts(self) -> None:
        present = list(self._states.values())
        for state in {LIVE, LOST, *present}:
            self._count.labels(state).set(present.count(state))
