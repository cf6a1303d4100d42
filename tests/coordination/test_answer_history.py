"""An answer that nobody waits for is told apart: late, replayed or never asked for."""

import pytest

from pslgs.coordination.answers import AnswerHistory, Phase, Unexpected
from pslgs.coordination.messages import ExchangeId


@pytest.mark.parametrize(
    ("phase", "exchange", "reason"),
    [
        pytest.param(Phase.FORWARD, ExchangeId(5, 2), Unexpected.REPLAYED, id="completed"),
        pytest.param(Phase.FORWARD, ExchangeId(5, 1), Unexpected.REPLAYED, id="before-a-completed-one"),
        pytest.param(Phase.FORWARD, ExchangeId(6, 1), Unexpected.LATE, id="given-up"),
        pytest.param(Phase.BACKWARD, ExchangeId(5, 2), Unexpected.LATE, id="half-completed"),
        pytest.param(Phase.FORWARD, ExchangeId(6, 2), Unexpected.UNASKED, id="next-attempt"),
        pytest.param(Phase.FORWARD, ExchangeId(7, 1), Unexpected.UNASKED, id="next-step"),
    ],
)
def test_an_unexpected_answer_is_classified_by_what_its_client_has_answered(phase, exchange, reason):
    history = AnswerHistory()
    history.completed("a", Phase.FORWARD, ExchangeId(5, 2))
    history.completed("b", phase, exchange)
    assert history.unexpected("a", phase, exchange, newest=ExchangeId(6, 1)) is reason


def test_nothing_is_asked_for_before_the_first_order():
    assert AnswerHistory().unexpected("a", Phase.FORWARD, ExchangeId(1, 1), None) is Unexpected.UNASKED
