"""Scenarios: a small job, its clients, and the faults that hit them, all drawn from one seed."""

import random
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pslgs.coordination.best_evaluation import Comparison
from pslgs.coordination.settings import Settings, draw_schedule_from
from pslgs.sampling.registry import STRATEGIES
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.fault_tolerance import OnHostile, OnLostClient, OnNonFinite
from pslgs.spec.training import LatentDirichletSpec, SamplingSpec, SamplingStrategy
from pslgs.transport.client_connection import RECONNECT_SECONDS

FOREVER = 1e9
"""Seconds after which nothing happens any more: longer than any simulated job."""


class Kind(StrEnum):
    """What a fault is."""

    LINK_BREAKS = "a client's stream breaks"
    LINK_IS_SILENT = "a client's stream breaks, which only the client notices"
    LINK_IS_SLOW = "a client's link is slow"
    CLIENT_DIES = "a client's process dies"
    CLIENT_STALLS = "a client's process is stopped for a while"
    CLIENT_REPEATS = "a client sends its next answer twice"
    CLIENT_SENDS_NAN = "a client's next answer is not finite"
    DATA_CHANGE = "a client comes back with another number of samples"
    UNUSABLE = "a client reports that its data cannot be used"
    NEW_CLIENT = "a client that nobody expected joins"
    SERVER_CRASHES = "the server's process dies"
    SERVER_STALLS = "the server's process is stopped for a while"
    SERVER_STOPS = "the server is asked to stop, and started again"
    DISK_FAILS = "checkpoints cannot be written for a while"
    DISK_FORGETS = "the newest checkpoint is damaged when the server is next started"
    DIVERGES = "the next update is not finite, and no client is to blame"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        at: Virtual time at which it happens.
        kind: What happens.
        client: The client that it hits; empty for a fault of the server.
        seconds: How long it lasts.
        effects: Effects that the server still carries out before it crashes.
    """

    at: float
    kind: Kind
    client: str = ""
    seconds: float = 0.0
    effects: int = 0

    def __str__(self) -> str:
        of = f" [{self.client}]" if self.client else ""
        lasts = "for ever" if self.seconds >= FOREVER else f"{self.seconds:.2f} s"
        return f"{self.at:7.2f} {self.kind.value}{of}, {lasts}, after {self.effects} more effects"


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """A client.

    Attributes:
        samples: Training samples of each class.
        evaluation_samples: Evaluation samples.
        compute: Mean seconds in which it computes an answer.
        latency: Mean seconds for a message in one direction.
    """

    samples: tuple[int, ...]
    evaluation_samples: int
    compute: float
    latency: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A job and what happens to it.

    Attributes:
        seed: Seed of everything random while it runs.
        sampling: The job's sampling.
        settings: The coordinator's settings.
        clients: Expected clients by name.
        late: Clients that nobody expected, by name.
        keep: Checkpoints that are kept.
        faults: The faults, in order of time.
    """

    seed: int
    sampling: SamplingSpec
    settings: Settings
    clients: dict[str, ClientProfile]
    late: dict[str, ClientProfile]
    keep: int
    faults: tuple[Fault, ...] = field(default=())

    @property
    def undisturbed(self) -> "Scenario":
        """The same job without faults."""
        return replace(self, faults=())

    def __str__(self) -> str:
        settings = self.settings
        job = (
            f"seed {self.seed}: {self.sampling.strategy}, B={settings.global_batch_size}, "
            f"{settings.epochs} epochs, {settings.on_lost}, {settings.on_non_finite}, {settings.on_hostile}, "
            f"quorum {settings.quorum} of {settings.expected_clients}, "
            f"time-outs {settings.client_timeout:g} s and {settings.quorum_timeout:g} s, "
            f"evaluation {settings.evaluate_at}, checkpoints every {settings.checkpoint_every} steps"
        )
        clients = [f"  {name}: {profile}" for name, profile in (self.clients | self.late).items()]
        return "\n".join([job, *clients, *(f"  {fault}" for fault in self.faults)])


_OF_CLIENTS = (
    (Kind.LINK_BREAKS, 6),
    (Kind.LINK_IS_SILENT, 3),
    (Kind.LINK_IS_SLOW, 3),
    (Kind.CLIENT_DIES, 4),
    (Kind.CLIENT_STALLS, 4),
    (Kind.CLIENT_REPEATS, 3),
    (Kind.CLIENT_SENDS_NAN, 1),
    (Kind.DATA_CHANGE, 1),
)
_OF_THE_SERVER = (
    (Kind.SERVER_CRASHES, 5),
    (Kind.SERVER_STALLS, 4),
    (Kind.SERVER_STOPS, 2),
    (Kind.DISK_FAILS, 2),
    (Kind.DISK_FORGETS, 2),
)
_ENDINGS = (Kind.UNUSABLE, Kind.DIVERGES)
_STRATEGIES = [name for name in SamplingStrategy for _ in range(1 + 3 * (name == SamplingStrategy.GLOBAL))]
_SECONDS_PER_STEP = 0.35
"""About what a step takes when nothing disturbs it; faults fall into the time that a job takes."""


def scenario(seed: int) -> Scenario:
    """Draw the scenario of a seed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    classes = rng.choice([1, 3])
    clients = {f"c{number}": _client(rng, classes) for number in range(rng.randint(1, 5))}
    late = {"new": _client(rng, classes)}
    if not any(sum(client.samples) for client in clients.values()):
        clients["c0"] = replace(clients["c0"], samples=(5,) * classes)
    pooled = sum(sum(client.samples) for client in clients.values())
    batch = rng.randint(1, min(pooled, 12))
    sampling = SamplingSpec(
        strategy=rng.choice(_STRATEGIES),
        global_batch_size=max(batch, pooled // 12),
        seed=rng.randrange(1000),
        latent_dirichlet=LatentDirichletSpec(sample_size=20, delay_weight=rng.choice([0.0, 1.0])),
    )
    settings = _settings(rng, sampling, len(clients))
    faults = _faults(rng, clients, settings.epochs * max(1, pooled // sampling.global_batch_size))
    return Scenario(seed, sampling, settings, clients, late, rng.randint(1, 3), faults)


def _client(rng: random.Random, classes: int) -> ClientProfile:
    held = rng.choice([0, 1, rng.randint(2, 9), rng.randint(10, 30), rng.randint(10, 30)])
    cuts = sorted(rng.randint(0, held) for _ in range(classes - 1))
    samples = tuple(end - begin for begin, end in zip([0, *cuts], [*cuts, held], strict=True))
    return ClientProfile(
        samples, rng.choice([0, rng.randint(1, 20)]), rng.uniform(0.001, 0.2), rng.uniform(0.001, 0.1)
    )


def _settings(rng: random.Random, sampling: SamplingSpec, clients: int) -> Settings:
    strategy = STRATEGIES[sampling.strategy]
    patience = rng.choice([None, None, None, 1, 2])
    return Settings(
        epochs=rng.randint(1, 3),
        seed=sampling.seed,
        draw_schedule=draw_schedule_from(sampling, strategy),
        uses_client_stats=strategy.uses_client_stats,
        expected_clients=clients,
        global_batch_size=sampling.global_batch_size,
        quorum=rng.randint(1, clients),
        client_timeout=rng.choice([2.0, 5.0, 30.0]),
        return_seconds=RECONNECT_SECONDS,
        quorum_timeout=rng.choice([5.0, 20.0, 60.0]),
        on_lost=rng.choice([*[OnLostClient.CONTINUE] * 4, *[OnLostClient.WAIT] * 3, OnLostClient.FAIL]),
        on_non_finite=rng.choice(list(OnNonFinite)),
        on_hostile=rng.choice(list(OnHostile)),
        evaluate_every=rng.randint(1, 2),
        evaluate_at=rng.choice([None, EvaluationPlace.SERVER, EvaluationPlace.CLIENTS]),
        evaluation_range=sampling.global_batch_size,
        checkpoint_every=rng.choice([1, 3, 7, 1000]),
        deadline=rng.choice([None] * 9 + [20.0]),
        comparison=Comparison("Loss", higher_is_better=False, patience=patience),
    )


def _faults(rng: random.Random, clients: dict[str, ClientProfile], steps: int) -> tuple[Fault, ...]:
    """Draw faults: none, some, or one every few steps."""
    until = 2.0 + steps * _SECONDS_PER_STEP
    number = rng.choice([0, rng.randint(1, 4), rng.randint(1, 4), rng.randint(5, 12), rng.randint(12, 30)])
    kinds, weights = zip(*(_OF_CLIENTS + _OF_THE_SERVER), strict=True)
    allowed = [kind for kind in kinds if rng.random() < 0.6]  # some runs know only some kinds
    faults = []
    for kind in rng.choices(kinds, weights, k=number):
        if kind in allowed:
            client = rng.choice(list(clients)) if kind in dict(_OF_CLIENTS) else ""
            lasts = rng.choice([rng.uniform(0.0, 1.0), rng.uniform(0.0, 4.0), rng.uniform(0.0, 40.0)])
            for_ever = kind in {Kind.CLIENT_DIES, Kind.CLIENT_STALLS} and rng.random() < 0.1
            seconds = FOREVER if for_ever else lasts
            faults.append(Fault(rng.uniform(0.0, until), kind, client, seconds, rng.randint(0, 6)))
    if rng.random() < 0.1:
        faults.append(Fault(rng.uniform(0.0, until), Kind.NEW_CLIENT, "new"))
    if rng.random() < 0.04:
        kind = rng.choice(_ENDINGS)
        client = rng.choice(list(clients)) if kind is Kind.UNUSABLE else ""
        faults.append(Fault(rng.uniform(0.0, until), kind, client))
    return tuple(sorted(faults, key=lambda fault: fault.at))
