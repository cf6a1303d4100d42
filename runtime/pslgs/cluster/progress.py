"""How a job is, as its server says it, or else as its object does: in the form of a server's /status."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from pslgs.cluster.access import Access, ClusterError
from pslgs.cluster.training_job import TrainingJob
from pslgs.json_text import parse_json
from pslgs.transport.peer_text import one_line


class _Metric(TypedDict):
    name: str
    value: float | None
    best: float | None
    bestEpoch: int | None


class _Page(TypedDict):
    """The fields of a server's /status that are shown; it may have others."""

    __pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)  # type: ignore[misc]

    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    progress: Annotated[float, Field(ge=0.0, le=1.0)]
    etaSeconds: Annotated[float, Field(ge=0.0, le=1e9)] | None
    loss: float | None
    accuracy: float | None
    metric: _Metric | None
    deviation: float | None
    deviationBound: float | None
    samplesPerSecond: float | None
    clients: Mapping[str, list[str]]
    clientsExpected: int
    message: str


_PAGE: Final = TypeAdapter(_Page)
_FIGURES: Final = _Page.__annotations__.keys() - {
    *("phase", "clients", "clientsExpected", "message"),
    "etaSeconds",  # of the time at which it was asked
}


class FollowedStatus:
    """The status of a job that is looked at again and again."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._answer: Mapping[str, Any] | None = None

    def look(self, job: TrainingJob) -> Mapping[str, Any]:
        """Return the server's own status, or else what its object says.

        The object is written every 30 s, so the figures of the server's last answer are kept until it has
        reached them.
        """
        if (answer := server_status(self._access, job)) is not None:
            self._answer = answer
            return answer
        written = written_status(job)
        if self._answer is None or self._answer["step"] <= written["step"]:
            return written
        return {**written, **{name: self._answer[name] for name in _FIGURES}}


def server_status(access: Access, job: TrainingJob) -> Mapping[str, Any] | None:
    """Ask the server for its /status; None if it does not run, does not answer, or may not be asked."""
    server = job.server
    if server is None or not server.is_running or server.http_port is None:
        return None
    try:
        content = access.page(server.name, server.http_port, "/status")
    except ClusterError:  # whoever may only view a namespace may not forward ports
        return None
    return None if content is None else read_page(content)


def read_page(content: bytes) -> dict[str, Any] | None:
    """Read the answer of a server's /status, which runs a user's code; None if it is none.

    Texts become one line of printable characters.
    """
    try:
        _PAGE.validate_json(content, strict=True)
        document = parse_json(content)
    except ValueError:
        return None
    plain = _plain(document)
    return plain if isinstance(plain, dict) else None


def _plain(value: object) -> object:
    match value:
        case str():
            return one_line(value)
        case dict():
            return {one_line(key): _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value


def written_status(job: TrainingJob) -> dict[str, Any]:
    """Return what the job's object says of the training, as numbers; the operator writes it every 30 s."""
    training, clients = job.status.get("training", {}), job.status.get("clients", {})
    return {
        "phase": job.phase,
        "epoch": training.get("epoch", 0),
        "epochs": training.get("epochs", 0),
        "step": training.get("step", 0),
        "steps": training.get("steps", 0),
        "progress": _number(training.get("progress")) or 0.0,
        "loss": _number(training.get("loss")),
        "accuracy": _number(training.get("accuracy")),
        "metric": _metric(training),
        "deviation": _number(training.get("deviation")),
        "deviationBound": _number(training.get("deviationBound")),
        "samplesPerSecond": _number(training.get("samplesPerSecond")),
        "clients": {"live": clients.get("live", 0), "lost": clients.get("lost", [])},
        "clientsExpected": clients.get("expected", 0),
        "message": "; ".join(job.told()),
    }


def _metric(training: Mapping[str, Any]) -> dict[str, Any] | None:
    if not training.get("metric"):
        return None
    return {
        "name": training["metric"],
        "value": _number(training.get("metricValue")),
        "best": _number(training.get("bestValue")),
        "bestEpoch": training.get("bestEpoch"),
    }


def _number(text: object) -> float | None:
    """Return the number that the operator wrote as a text for people; a share if it is in percent."""
    if not isinstance(text, str):
        return None
    plain = text.replace(",", "").strip()
    try:
        return float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        return None
