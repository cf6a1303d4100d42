"""Whoever enters is checked first: the job, then what it claims, and no client's word binds another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from pslgs.coordination.agreement import Agreement
from pslgs.coordination.membership import Membership
from pslgs.coordination.messages import Event, Joined, Left, Unusable, Violated
from pslgs.model_inputs import NamedShapes
from pslgs.server import hello_checks
from pslgs.server.client_faults import ClientFaults
from pslgs.server.connections import ClientConnections
from pslgs.server.hello_checks import (
    DIMENSIONS_LIMIT,
    SHAPE_LIMIT,
    ImplausibleClaim,
    ShapeMismatch,
    check_sample_size,
    check_shape,
    describe_disagreement,
)
from pslgs.server.label_statistics import LabelStatistics
from pslgs.server.session_handler import SessionHandler, StartupGate
from pslgs.server.statements import ClassNames, Statements
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.named_inputs import NamedInput
from pslgs.transport.errors import ClientFailed, Excluded, ProtocolViolation, StreamEnded, TryLater, status_of
from pslgs.transport.shapes import state_shape, stated_shape
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import FakeSession, ManualClock, bodies, control, settle

DIGEST = b"digest of the job"
SHAPE = (4,)
TIMEOUT = 30.0
MOST_SAMPLES = 1000


class Recorder:
    """Takes the driver's place: keeps what the coordinator would be told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.left_out: dict[str, dict[str, int]] = {}
        self.excluded: dict[str, str] = {}
        self.held_up: dict[str, float] = {}

    def post(self, event: Event) -> None:
        self.events.append(event)

    def held_up_seconds(self, client: str) -> float:
        return self.held_up.get(client, 0.0)

    def is_replaced(self, session: FakeSession) -> bool:
        joined = [event.session for event in self.events if isinstance(event, Joined)]
        return session.number < max(joined, default=0)

    def exclusion(self, client: str) -> str | None:
        return self.excluded.get(client)

    def note_left_out(self, client: str, left_out: dict[str, int]) -> None:
        self.left_out[client] = left_out


class Counters:
    def __init__(self) -> None:
        self.refused: list[str] = []

    def count_refused_client(self, reason: str) -> None:
        self.refused.append(reason)

    def count_ignored_answer(self, reason: str) -> None:
        raise AssertionError(reason)


class Entrance:
    """A startup_gate, what is behind it, and the clients that have come."""

    def __init__(self, expected: int, quorum: int, classes) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.driver = Recorder()
        faults = ClientFaults(self.counters, self.clock)
        shapes = Statements(Agreement(expected, quorum, TIMEOUT), self.clock)
        names = Statements(Agreement(expected, quorum, TIMEOUT), self.clock)
        self.startup_gate = StartupGate(DIGEST, shapes, ClassNames(names, faults, classes), faults)
        self.connections = ClientConnections()
        self.attending: dict[str, asyncio.Task[None]] = {}
        self._numbers = 0

    def open(self) -> None:
        """Let the server know what it trains."""
        label_statistics = LabelStatistics(3, Membership())
        self.startup_gate.session_handler.set_result(
            SessionHandler(self.driver, self.connections, label_statistics, SHAPE, MOST_SAMPLES, self.clock)
        )

    async def come(self, client: str, **hello) -> FakeSession:
        """Let a client connect and say Hello."""
        self._numbers += 1
        session = FakeSession(client, self._numbers)
        said = {"job_digest": DIGEST, "samples": 3, "label_counts": [1, 1, 1], "input_shape": SHAPE} | hello
        self.attending[client] = asyncio.create_task(self.startup_gate.handle(session, wire.Hello(**said)))
        await settle()
        return session

    def joined(self) -> list[str]:
        return [event.client for event in self.driver.events if isinstance(event, Joined)]

    def error_of(self, client: str) -> BaseException | None:
        """Return the error with which the attending task of a client ended."""
        assert self.attending[client].done()
        return self.attending[client].exception()


@asynccontextmanager
async def entrance(*, expected: int = 1, quorum: int = 1, classes=None) -> AsyncIterator[Entrance]:
    entrance = Entrance(expected, quorum, classes)
    yield entrance
    for each in entrance.attending.values():
        each.cancel()
    await asyncio.gather(*entrance.attending.values(), return_exceptions=True)


@pytest.mark.parametrize(
    ("hello", "reason", "problem"),
    [
        pytest.param({"job_digest": b"other"}, "JobMismatch", "of another job", id="digest"),
        pytest.param({"input_shape": [5]}, "ShapeMismatch", r"shape \[5\], the job's \[4\]", id="shape"),
        pytest.param(
            {"input_shape": [2] * 10_000}, "ShapeMismatch", r"shape \[2, 2", id="shape-of-many-dimensions"
        ),
        pytest.param(
            {"samples": MOST_SAMPLES + 1}, "ImplausibleClaim", "is 1,000, but .* 1,001 samples", id="samples"
        ),
        pytest.param({"evaluation_samples": 2**64 - 1}, "ImplausibleClaim", "is 1,000, but", id="evaluation"),
        pytest.param({"label_counts": [1, 1]}, "ImplausibleClaim", "2 label counts", id="few-label-counts"),
        pytest.param({"label_counts": [1, 1, 2]}, "ImplausibleClaim", "sum of 4", id="wrong-sum"),
        pytest.param(
            {"label_counts": [2**64 - 1] * 3}, "ImplausibleClaim", "do not fit", id="huge-label-counts"
        ),
        pytest.param({"class_names": ["x", "y"]}, "ClassesMismatch", "not those of the manifest", id="names"),
    ],
)
async def test_a_client_that_does_not_fit_the_job_is_refused_and_counted(hello, reason, problem):
    async with entrance(classes=("a", "b", "c")) as hall:
        hall.open()
        await hall.come("a", **hello)
        with pytest.raises(InputError, match=problem):
            raise hall.error_of("a")
        assert hall.counters.refused == [reason]
        assert hall.driver.events == []


async def test_a_client_that_fits_is_welcomed_and_joins():
    async with entrance(classes=("a", "b", "c")) as hall:
        hall.open()
        session = await hall.come("a", class_names=["a", "b", "c"])
        assert bodies(session) == ["welcome"]
        assert hall.joined() == ["a"]
        session.leave()
        await settle()
        assert isinstance(hall.driver.events[-1], Left)


def test_label_counts_are_refused_where_there_are_no_classes():
    assert (
        LabelStatistics(None, Membership()).violation(3, [3])
        == "1 label counts came for a task without classes"
    )
    assert LabelStatistics(None, Membership()).violation(3, []) is None


# Clients that cannot take part

PROBLEM = "spec.data.train.path: '/data' holds nothing"


async def test_a_client_that_cannot_take_part_is_noted_counted_and_sent_away():
    async with entrance() as hall:
        await hall.come("a", failure=f"{PROBLEM}\nspec.model: too", input_shape=[])
        with pytest.raises(InputError, match="holds nothing"):
            raise hall.error_of("a")
        assert hall.counters.refused == ["UnusableClient"]
        assert hall.startup_gate.unusable.result() == Unusable("a", None, f"{PROBLEM} spec.model: too")
        assert hall.startup_gate.shapes.counts() == []


async def test_what_another_jobs_client_fails_of_is_not_noted():
    async with entrance() as hall:
        await hall.come("a", failure=PROBLEM, job_digest=b"other")
        assert hall.counters.refused == ["JobMismatch"]
        assert not hall.startup_gate.unusable.done()


@pytest.mark.parametrize(
    ("code", "kinds"),
    [pytest.param(2, [Joined, Unusable, Left], id="bad-input"), pytest.param(1, [Joined, Left], id="other")],
)
async def test_a_member_that_fails_of_its_input_is_more_than_lost(code, kinds):
    async with entrance() as hall:
        hall.open()
        session = await hall.come("a")
        session.feed(control(failure=wire.Failure(exit_code=code, message="disk\nbroken")))
        await settle()
        assert [type(event) for event in hall.driver.events] == kinds
        assert isinstance(hall.error_of("a"), ClientFailed)
        if code == ExitCode.BAD_INPUT:
            assert hall.driver.events[1] == Unusable("a", session.number, "disk broken")


# What clients say of the shape of a sample


async def test_another_jobs_client_proposes_no_shape():
    async with entrance() as hall:
        await hall.come("a", job_digest=b"other", input_shape=[63])
        assert hall.startup_gate.shapes.counts() == []
        assert hall.counters.refused == ["JobMismatch"]


async def test_the_first_client_of_many_decides_no_shape():
    async with entrance(expected=4) as hall:
        stranger = await hall.come("stranger", input_shape=[63])
        for name in "ab":
            await hall.come(name)
        assert hall.startup_gate.shapes.agreed() is None
        await hall.come("c")
        assert hall.startup_gate.shapes.agreed() == (SHAPE, True)
        hall.open()
        await settle()
        assert hall.joined() == ["a", "b", "c"]
        assert isinstance(hall.error_of("stranger"), InputError)
        assert hall.counters.refused == ["ShapeMismatch"]
        assert bodies(stranger) == []


async def test_a_shape_that_the_model_refuses_refuses_only_who_stated_it():
    async with entrance(expected=4) as hall:
        session = await hall.come("a", input_shape=[63])
        await hall.come("b")
        hall.startup_gate.refuse_shape(
            (63,), hello_checks.ShapeMismatch.at("spec.model.inputShape", "is not for it")
        )
        await settle()
        assert session.ended == (grpc.StatusCode.FAILED_PRECONDITION, "spec.model.inputShape: is not for it")
        assert hall.counters.refused == ["ShapeMismatch"]
        assert hall.startup_gate.shapes.counts() == [(SHAPE, 1)]
        assert not hall.attending["b"].done()


async def test_a_shape_goes_with_the_client_that_stated_it():
    async with entrance(expected=4) as hall:
        session = await hall.come("a", input_shape=[63])
        session.leave()
        await settle()
        assert hall.startup_gate.shapes.counts() == []
        assert isinstance(hall.error_of("a"), StreamEnded)


async def test_a_client_that_connects_twice_counts_once_and_keeps_one_stream():
    async with entrance(expected=4) as hall:
        older = await hall.come("a", input_shape=[63])
        newer = await hall.come("a")
        assert older.ended is not None
        assert older.ended[0] is grpc.StatusCode.ALREADY_EXISTS
        assert newer.ended is None
        assert hall.startup_gate.shapes.counts() == [(SHAPE, 1)]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        pytest.param(control(failure=wire.Failure(message="disk\nbroken")), ClientFailed, id="failure"),
        pytest.param(control(abort=wire.Abort()), ProtocolViolation, id="anything-else"),
    ],
)
async def test_a_client_that_waits_may_only_fail(frame, error):
    async with entrance(expected=4) as hall:
        session = await hall.come("a")
        session.feed(frame)
        await settle()
        assert isinstance(hall.error_of("a"), error)
        assert "\n" not in str(hall.error_of("a"))


async def test_clients_are_waited_for_until_they_agree():
    async with entrance(expected=4) as hall:
        agreement = asyncio.create_task(hall.startup_gate.shapes.wait_for_agreement())
        for name in "abc":
            assert not agreement.done()
            await hall.come(name)
        assert await agreement == (SHAPE, True)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((10**9,), id="long"),
        pytest.param((2**32 - 1,) * 8, id="huge"),
        pytest.param((1,) * (DIMENSIONS_LIMIT + 1), id="many-dimensions"),
        pytest.param((0, 3), id="empty"),
        pytest.param((), id="none"),
    ],
)
def test_the_model_is_not_tried_on_implausible_samples(shape):
    with pytest.raises(ImplausibleClaim, match=r"^spec\.model\.inputShape: .*set it in the manifest"):
        check_sample_size(shape)


def test_the_model_is_tried_on_samples_up_to_the_limit():
    check_sample_size((SHAPE_LIMIT,))


def test_each_of_several_inputs_is_looked_at_by_itself():
    inputs = [NamedInput(name="image"), NamedInput(name="age")]
    check_sample_size(NamedShapes.of(inputs, [(SHAPE_LIMIT,), ()]))
    with pytest.raises(ImplausibleClaim, match=r"^spec\.data\.inputs\[1\]\.shape: "):
        check_sample_size(NamedShapes.of(inputs, [(1,), (SHAPE_LIMIT, 2)]))


def test_the_shapes_of_several_inputs_travel_in_the_order_of_the_manifest():
    inputs = [NamedInput(name="image"), NamedInput(name="tokens", type="Integer")]
    shapes, hello = NamedShapes.of(inputs, [(1, 8, 8), (16,)]), wire.Hello()
    state_shape(hello, shapes)
    assert stated_shape(wire.Hello.FromString(hello.SerializeToString()), inputs) == shapes
    check_shape(stated_shape(hello, inputs), shapes)
    with pytest.raises(ShapeMismatch, match=r"image \[1, 8, 8\], tokens \[16\], the job's image \[1, 9, 9\]"):
        check_shape(stated_shape(hello, inputs), NamedShapes.of(inputs, [(1, 9, 9), (16,)]))
    with pytest.raises(InputError, match="are 1, but the shapes of 2 were stated"):
        stated_shape(hello, inputs[:1])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        pytest.param([], "no client came within 5 s (spec.faultTolerance.quorumTimeoutSeconds)", id="nobody"),
        pytest.param(
            [((4,), 2), ((63,), 1)],
            "clients did not agree on the shape of a sample within 5 s "
            "(spec.faultTolerance.quorumTimeoutSeconds): [4] by 2; [63] by 1; set spec.model.inputShape",
            id="different",
        ),
    ],
)
def test_a_missing_agreement_is_explained(shapes, message):
    assert describe_disagreement(shapes, 5) == message


# What clients say of the names of classes


async def test_class_names_of_one_client_do_not_end_other_clients():
    async with entrance(expected=4) as hall:
        hall.open()
        await hall.come("stranger", class_names=["made", "up"])
        for name in "abc":
            await hall.come(name, class_names=["cat", "dog"])
        assert sorted(hall.joined()) == ["a", "b", "c"]
        assert hall.counters.refused == ["ClassesMismatch"]
        with pytest.raises(StreamEnded, match=r"made, up.* not those of most clients .*cat, dog"):
            raise hall.error_of("stranger")


async def test_a_client_whose_data_have_no_names_need_not_wait_for_any():
    async with entrance(expected=4) as hall:
        hall.open()
        await hall.come("a")
        assert hall.joined() == ["a"]


async def test_provisional_class_names_end_with_their_last_client():
    async with entrance(expected=8) as hall:
        hall.open()
        stranger = await hall.come("stranger", class_names=["made", "up"])
        assert hall.joined() == []
        hall.clock.now = TIMEOUT + 1
        hall.startup_gate.class_names.review()
        await settle()
        assert hall.joined() == ["stranger"]

        await hall.come("a", class_names=["cat", "dog"])
        hall.startup_gate.class_names.review()
        assert not hall.attending["a"].done()
        stranger.leave()
        await settle()
        hall.clock.now = 2 * TIMEOUT + 2
        hall.startup_gate.class_names.review()
        await settle()
        assert hall.joined() == ["stranger", "a"]


async def test_most_clients_overrule_provisional_class_names():
    async with entrance(expected=4) as hall:
        hall.open()
        stranger = await hall.come("stranger", class_names=["made", "up"])
        hall.clock.now = TIMEOUT + 1
        hall.startup_gate.class_names.review()
        await settle()
        for name in "abc":
            await hall.come(name, class_names=["cat", "dog"])
        assert sorted(hall.joined()) == ["a", "b", "c", "stranger"]
        assert stranger.ended is not None
        assert stranger.ended[0] is grpc.StatusCode.FAILED_PRECONDITION


# Clients that come again and again


async def test_a_client_that_keeps_joining_and_leaving_has_to_wait():
    async with entrance(expected=2) as hall:
        hall.open()
        await hall.come("honest")
        for _ in range(50):
            hall.clock.now += 0.02
            session = await hall.come("restless")
            session.leave()
            await settle()
        assert hall.joined() == ["honest"] + ["restless"] * 4
        assert hall.counters.refused == ["TryLater"] * 46
        error = hall.error_of("restless")
        assert isinstance(error, TryLater)
        assert 0 < error.seconds <= 1
        assert not hall.attending["honest"].done()

        hall.clock.now += error.seconds
        await hall.come("restless")
        assert hall.joined()[-1] == "restless"
        assert len(hall.joined()) == 6


async def test_a_client_that_never_answers_has_to_wait_for_several_time_outs():
    async with entrance() as hall:
        hall.open()
        for _ in range(2):
            session = await hall.come("mute")
            hall.clock.now += TIMEOUT
            session.end(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer")
            await settle()
        await hall.come("mute")
        error = hall.error_of("mute")
        assert isinstance(error, TryLater)
        assert error.seconds == 4 * TIMEOUT


async def test_a_client_that_leaves_while_others_wait_for_it_has_to_wait():
    async with entrance() as hall:
        hall.open()
        hall.driver.held_up["slow"] = 29.0
        for _ in range(2):
            session = await hall.come("slow")
            session.leave()
            await settle()
        await hall.come("slow")
        assert isinstance(hall.error_of("slow"), TryLater)
        assert hall.error_of("slow").seconds == 4 * 29.0


async def test_a_client_that_connects_anew_while_others_wait_for_it_has_to_wait():
    async with entrance() as hall:
        hall.open()
        first = await hall.come("slow")
        hall.driver.held_up["slow"] = 29.0
        second = await hall.come("slow")
        hall.driver.held_up["slow"] = 0.0
        first.end(grpc.StatusCode.ABORTED, "another session takes its place")
        await settle()
        hall.clock.now += 29.0
        hall.driver.held_up["slow"] = 29.0
        await hall.come("slow")
        hall.driver.held_up["slow"] = 0.0
        second.end(grpc.StatusCode.ABORTED, "another session takes its place")
        await settle()
        await hall.come("slow")
        assert isinstance(hall.error_of("slow"), TryLater)
        assert hall.error_of("slow").seconds == 4 * 29.0


async def test_a_violation_is_reported_to_the_coordinator_and_counted_as_a_refusal():
    async with entrance() as hall:
        hall.open()
        session = await hall.come("a")
        session.feed(control(welcome=wire.Welcome()))
        await settle()
        assert hall.driver.events[1:] == [Violated("a", 1, "A welcome is not for a client to send.")]
        assert hall.counters.refused == ["ProtocolViolation"]
        assert isinstance(hall.error_of("a"), ProtocolViolation)


async def test_an_excluded_client_is_refused_before_its_hello_is_looked_at():
    async with entrance() as hall:
        hall.open()
        hall.driver.excluded["a"] = "it violated the protocol 3 times"
        await hall.come("a", input_shape=[5])
        error = hall.error_of("a")
        assert isinstance(error, Excluded)
        assert status_of(error) is grpc.StatusCode.PERMISSION_DENIED
        assert hall.counters.refused == ["Excluded"]
        assert hall.driver.events == []


async def test_a_client_that_was_cut_off_once_joins_again_at_once():
    async with entrance() as hall:
        hall.open()
        session = await hall.come("a")
        session.leave()
        await settle()
        await hall.come("a")
        assert hall.joined() == ["a", "a"]
        assert hall.counters.refused == []


async def test_what_clients_leave_out_is_noted_by_known_reasons():
    async with entrance() as hall:
        hall.open()
        await hall.come("a", left_out={"damaged": 2, "hidden": 5, "x" * 100: 1, "y": 3, "system": 0})
        assert hall.driver.left_out == {"a": {"hidden": 5, "damaged": 2, "other": 4}}


async def test_nothing_is_sent_on_a_session_that_has_ended():
    async with entrance() as made:
        made.open()
        session = await made.come("a")
        assert made.connections.send(session.number, []) is not None
        session.leave()
        await settle()
        assert made.connections.send(session.number, []) is None
