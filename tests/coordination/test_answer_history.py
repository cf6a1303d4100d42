"""An answer that nobody waits for is told apart: late, replayed or never asked for."""

import pytest

from pslgs.coordination.answers import AnswerHistory, Phase, Unexpected
from pslgs.coordination.events import Ticket


@pytest.mark.parametrize(
    ("phase", "ticket", "reason"),
    [
        pytest.param(Phase.FORWARD, Ticket(5, 2), Unexpected.REPLAYED, id="completed"),
        pytest.param(Phase.FORWARD, Ticket(5, 1), Unexpected.REPLAYED, id="before-a-completed-one"),
        pytest.param(Phase.FORWARD, Ticket(6, 1), Unexpected.LATE, id="given-up"),
        pytest.param(Phase.BACKWARD, Ticket(5, 2), Unexpected.LATE, id="half-completed"),
        pytest.param(Phase.FORWARD, Ticket(6, 2), Unexpected.UNASKED, id="next-attempt"),
        pytest.param(Phase.FORWARD, Ticket(7, 1), Unexpected.UNASKED, id="next-step"),
    ],
)
def test_an_unexpected_answer_is_classified_by_what_its_client_has_answered(phase, ticket, reason):
    history = AnswerHistory()
    history.completed("a", Phase.FORWARD, Ticket(5, 2))
    history.completed("b", phase, ticket)
    assert history.unexpected("a", phase, ticket, newest=Ticket(6, 1)) is reason


def test_nothing_is_asked_for_before_the_first_order():
    assert AnswerHistory().unexpected("a", Phase.FORWARD, Ticket(1, 1), None) is Unexpected.UNASKED
