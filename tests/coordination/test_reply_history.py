"""An unexpected reply is classified by what its client has completed before."""

import pytest

from pslgs.coordination.messages import ExchangeId
from pslgs.coordination.replies import Pass, ReplyHistory, UnexpectedReply


@pytest.mark.parametrize(
    ("of", "exchange", "reason"),
    [
        pytest.param(Pass.FORWARD, ExchangeId(5, 2), UnexpectedReply.REPLAYED, id="completed"),
        pytest.param(Pass.FORWARD, ExchangeId(5, 1), UnexpectedReply.REPLAYED, id="before-a-completed-one"),
        pytest.param(Pass.FORWARD, ExchangeId(6, 1), UnexpectedReply.LATE, id="abandoned"),
        pytest.param(Pass.BACKWARD, ExchangeId(5, 2), UnexpectedReply.LATE, id="half-completed"),
        pytest.param(Pass.FORWARD, ExchangeId(6, 2), UnexpectedReply.UNASKED, id="next-attempt"),
        pytest.param(Pass.FORWARD, ExchangeId(7, 1), UnexpectedReply.UNASKED, id="next-step"),
    ],
)
def test_a_reply_is_replayed_late_or_unasked(of, exchange, reason):
    history = ReplyHistory()
    history.complete("a", Pass.FORWARD, ExchangeId(5, 2))
    history.complete("b", of, exchange)
    history.ask("a", ExchangeId(6, 1))
    history.ask("b", ExchangeId(7, 2))
    assert history.classify("a", of, exchange) is reason


def test_the_next_range_of_an_evaluation_is_no_replay_of_the_one_before():
    history, exchange = ReplyHistory(), ExchangeId(5, 0)
    history.ask("a", exchange)
    history.complete("a", Pass.FORWARD, exchange)
    assert history.classify("a", Pass.FORWARD, exchange) is UnexpectedReply.REPLAYED
    history.ask("a", exchange)
    assert history.classify("a", Pass.FORWARD, exchange) is UnexpectedReply.LATE


def test_every_reply_is_unasked_before_the_first_request():
    assert ReplyHistory().classify("a", Pass.FORWARD, ExchangeId(1, 1)) is UnexpectedReply.UNASKED
