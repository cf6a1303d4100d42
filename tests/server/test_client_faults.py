"""What clients do wrong is counted, logged once a minute, shown, and refused if no honest client does it."""

import logging

import pytest

from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.messages import ExchangeId, LocalBatch
from pslgs.coordination.replies import UnexpectedReply
from pslgs.coordination.settings import settings_from
from pslgs.server.client_faults import (
    CLIENTS_LIMIT,
    IGNORED_LIMIT,
    PROMPT_REFUSALS,
    REFUSAL_DELAY_SECONDS,
    SHOWN,
    WINDOW_SECONDS,
    ClientFaults,
)
from pslgs.server.driver import CoordinatorDriver
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.server.step_runner import StepRunner
from pslgs.telemetry.client_view import ClientFault
from pslgs.transport.errors import ProtocolViolation
from server.fakes import FakeServer, deliver, fake_server, forward_answer, local_batches, settle, tiny_spec

IGNORED = "pslgs_answers_ignored_total"
FIRST, SECOND = ExchangeId(1, 1), ExchangeId(1, 2)


def order(runner: StepRunner, server: FakeServer, exchange: ExchangeId, samples: dict[str, int]) -> None:
    runner.order_forward(
        [messages.OrderForward(exchange, 1, local_batch, 0) for local_batch in local_batches(server, samples)]
    )


def give_up(runner: StepRunner, server: FakeServer, exchange: ExchangeId) -> None:
    runner.abandon(messages.AbandonAttempt(exchange, 1, (), "client_lost", "client b was lost"))


async def test_chunks_of_an_abandoned_attempt_are_counted_as_late():
    async with fake_server() as server:
        a, _ = server.connect("a"), server.connect("b")
        runner = StepRunner(server.context)
        order(runner, server, FIRST, {"a": 2, "b": 2})
        labels, smashed = forward_answer(server, FIRST, [0, 1])
        deliver(runner.receive, a, [labels])
        give_up(runner, server, FIRST)

        assert deliver(runner.receive, a, [smashed]) is None
        assert server.counted(IGNORED, reason="late") == 1
        order(runner, server, SECOND, {"a": 4})
        deliver(runner.receive, a, [smashed])
        assert server.counted(IGNORED, reason="late") == 2


async def test_a_chunk_of_an_attempt_that_was_answered_is_counted_as_replayed_and_refused():
    async with fake_server() as server:
        a, _ = server.connect("a"), server.connect("b")
        runner = StepRunner(server.context)
        order(runner, server, FIRST, {"a": 2, "b": 2})
        answer = forward_answer(server, FIRST, [0, 1])
        assert deliver(runner.receive, a, answer) is not None
        give_up(runner, server, FIRST)
        order(runner, server, SECOND, {"a": 4})

        with pytest.raises(
            ProtocolViolation, match=r"step 1, attempt 1 came after the answer .* was complete"
        ):
            deliver(runner.receive, a, answer)
        assert server.counted(IGNORED, reason="replayed") == 1
        assert server.counted(IGNORED, reason="late") == 0


@pytest.mark.parametrize("exchange", [FIRST, ExchangeId(9, 1)], ids=["of another client", "of a later step"])
async def test_a_chunk_that_its_client_was_not_asked_for_is_counted_and_refused(exchange):
    async with fake_server() as server:
        a = server.connect("a")
        server.connect("b")
        runner = StepRunner(server.context)
        order(runner, server, FIRST, {"b": 2})
        with pytest.raises(ProtocolViolation, match="which this client was not asked for"):
            deliver(runner.receive, a, forward_answer(server, exchange, [0, 1]))
        assert server.counted(IGNORED, reason="unasked") == 1


async def test_a_slice_that_comes_twice_or_is_not_the_clients_own_is_refused():
    async with fake_server() as server:
        a, b = server.connect("a"), server.connect("b")
        runner = StepRunner(server.context)
        order(runner, server, FIRST, {"a": 2, "b": 3})
        labels, smashed = forward_answer(server, FIRST, [0, 1])
        deliver(runner.receive, a, [labels])
        with pytest.raises(ProtocolViolation, match="after all 16 bytes of its tensor"):
            deliver(runner.receive, a, [labels])
        others_labels, others_slice = forward_answer(server, FIRST, [0, 1, 2])
        deliver(runner.receive, b, [others_labels])
        with pytest.raises(ProtocolViolation, match="of 3 samples from 0 on came where those"):
            deliver(runner.receive, a, [others_slice])
        with pytest.raises(ProtocolViolation, match="of 2 samples from 0 on came where those"):
            deliver(runner.receive, b, [smashed])


async def test_chunks_of_an_evaluation_that_was_abandoned_are_late_although_an_earlier_range_was_answered():
    async with fake_server() as server:
        a, exchange = server.connect("a"), ExchangeId(3, 0)
        runner = EvaluationRunner(server.context, None, 8)
        for first in (0, 2):
            runner.order_range(messages.OrderEvaluation(exchange, LocalBatch("a", a.number, first, 2)))
            answer = forward_answer(server, exchange, [0, 1])
            if first == 0:
                deliver(runner.receive, a, answer)
        runner.abandon()
        deliver(runner.receive, a, answer)
        assert server.counted(IGNORED, reason="late") == 2


async def test_answers_to_an_evaluation_are_counted_and_refused_alike():
    async with fake_server() as server:
        a, exchange = server.connect("a"), ExchangeId(3, 0)
        runner = EvaluationRunner(server.context, None, 8)
        runner.order_range(messages.OrderEvaluation(exchange, LocalBatch("a", a.number, 0, 2)))
        answer = forward_answer(server, exchange, [0, 1])
        for chunk in answer:
            runner.receive(a, chunk.header.tensor, chunk.payload)
        await settle()
        for frames in (answer, forward_answer(server, ExchangeId(9, 0), [0, 1])):
            with pytest.raises(ProtocolViolation):
                deliver(runner.receive, a, frames)
        assert server.counted(IGNORED, reason="replayed") == 1
        assert server.counted(IGNORED, reason="unasked") == 1


class Counters:
    def __init__(self) -> None:
        self.counted: list[str] = []

    def count_refused_client(self, reason: str) -> None:
        self.counted.append(reason)

    def count_ignored_answer(self, reason: str) -> None:
        self.counted.append(reason)


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    return Clock()


@pytest.fixture
def counters():
    return Counters()


@pytest.fixture
def faults(counters, clock, caplog):
    caplog.set_level(logging.INFO)
    return ClientFaults(counters, clock)


def test_a_client_is_logged_at_once_and_then_once_a_minute(faults, counters, clock, caplog):
    for _ in range(30):
        faults.ignored("a", "late")
    for _ in range(70):
        faults.ignored("a", "replayed")
    faults.flush()
    assert caplog.messages == ["ignored an answer of client a: late"]
    clock.now = WINDOW_SECONDS
    faults.flush()
    faults.flush()
    assert caplog.messages[1:] == [
        "client a, within 60 s: ignored 99 more times (late 30, replayed 70 in all)"
    ]
    assert len(counters.counted) == 100
    faults.ignored("a", "late")
    assert caplog.messages[2:] == ["ignored an answer of client a: late"]


def test_refusals_are_logged_with_the_message_to_the_client(faults, counters, clock, caplog):
    for _ in range(3):
        faults.refused("a", "JobMismatch", "this client's manifest is of\nanother job")
    clock.now = WINDOW_SECONDS
    faults.refused("b", "Impostor", "no")
    faults.flush()
    assert caplog.messages == [
        "refused a (JobMismatch): this client's manifest is of another job",
        "refused b (Impostor): no",
        "client a, within 60 s: refused 2 more times (JobMismatch 3 in all)",
    ]
    assert counters.counted == ["JobMismatch"] * 3 + ["Impostor"]


def test_endlessly_many_names_do_not_make_endlessly_many_lines(faults, counters, caplog):
    for number in range(3 * CLIENTS_LIMIT):
        faults.refused(f"client-{number}", "Impostor", "no")
    assert len(caplog.messages) == CLIENTS_LIMIT + 1
    assert len(counters.counted) == 3 * CLIENTS_LIMIT


def test_only_a_client_that_sends_too_much_within_a_minute_is_dropped(faults, clock):
    for number in range(IGNORED_LIMIT):
        faults.unexpected("a", UnexpectedReply.LATE, FIRST)
        faults.unexpected(f"b{number % 2}", UnexpectedReply.LATE, FIRST)
    with pytest.raises(ProtocolViolation, match=r"More than 2000 chunks came within 60 s after"):
        faults.unexpected("a", UnexpectedReply.LATE, FIRST)
    faults.unexpected("b0", UnexpectedReply.LATE, FIRST)
    clock.now = WINDOW_SECONDS
    faults.unexpected("a", UnexpectedReply.LATE, FIRST)


def test_refusals_of_a_client_that_comes_again_and_again_are_held_back(faults, clock):
    delays = []
    for _ in range(PROMPT_REFUSALS + 2):
        faults.refused("a", "Excluded", "no")
        delays.append(faults.refusal_delay("a"))
    assert delays == [0.0] * PROMPT_REFUSALS + [REFUSAL_DELAY_SECONDS] * 2
    assert faults.refusal_delay("b") == 0
    clock.now = WINDOW_SECONDS
    faults.refused("a", "Excluded", "no")
    assert faults.refusal_delay("a") == 0


def test_the_clients_that_had_a_fault_last_are_shown_with_it(faults):
    for number in range(3 * SHOWN):
        faults.refused(f"client-{number}", "Impostor", "no\x1b[31m")
        faults.note("mallory", "timeout", "no answer")
    first, second, *others = faults.latest()
    assert first == ClientFault("mallory", "timeout", "no answer", 3 * SHOWN)
    assert second == ClientFault(f"client-{3 * SHOWN - 1}", "Impostor", "no [31m", 1)
    assert len(others) == SHOWN - 2


async def test_a_client_without_samples_that_sends_anything_is_refused():
    async with fake_server() as server:
        session = server.connect("idle")
        coordinator = Coordinator(settings_from(tiny_spec(), 1), 0.0)
        driver = CoordinatorDriver(
            server.context, coordinator, EvaluationRunner(server.context, None, 8), lambda: None
        )
        [chunk] = forward_answer(server, ExchangeId(7, 1), [])[:1]
        with pytest.raises(
            ProtocolViolation, match="step 7, attempt 1 came, which this client was not asked"
        ):
            driver.receive(session, chunk.header.tensor, chunk.payload)
        assert server.counted(IGNORED, reason="unasked") == 1
