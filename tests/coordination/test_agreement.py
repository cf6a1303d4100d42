"""What one client states binds nobody; what most state does."""

from hypothesis import given
from hypothesis import strategies as st

from pslgs.coordination.agreement import Agreed, Agreement

PATIENCE = 30.0


def stating(expected: int, quorum: int, now: float = 0.0, **values: str) -> Agreement[str]:
    agreement: Agreement[str] = Agreement(expected, quorum, PATIENCE)
    for client, value in values.items():
        agreement.state(client, value, now)
    return agreement


def test_more_than_half_of_the_expected_clients_prove_a_value():
    agreement = stating(4, 1, a="x", b="y", c="y")
    assert agreement.agreed(0) is None
    agreement.state("d", "y", 0)
    assert agreement.agreed(0) == Agreed("y", proved=True)


def test_a_proved_value_outlives_its_clients():
    agreement = stating(1, 1, a="x")
    agreement.agreed(0)
    agreement.withdraw("a")
    agreement.state("b", "y", 1)
    assert agreement.agreed(100) == Agreed("x", proved=True)


def test_more_clients_than_expected_raise_the_number_that_proves_a_value():
    agreement = stating(1, 1, a="x", b="y")
    assert agreement.agreed(0) is None
    agreement.state("c", "y", 0)
    assert agreement.agreed(0) == Agreed("y", proved=True)


def test_a_quorum_agrees_provisionally_when_no_new_client_joins():
    agreement = stating(8, 2, a="x", b="x", c="y")
    assert agreement.agreed(PATIENCE) is None
    assert agreement.agreed(PATIENCE + 1) == Agreed("x", proved=False)


def test_fewer_than_a_quorum_never_agree():
    assert stating(8, 3, a="x", b="x").agreed(1000) is None


def test_equally_many_clients_for_two_values_do_not_agree():
    assert stating(8, 1, a="x", b="y").agreed(1000) is None


def test_a_provisional_agreement_ends_with_its_last_client():
    agreement = stating(8, 1, a="x")
    assert agreement.agreed(1000) == Agreed("x", proved=False)
    agreement.state("b", "y", 1000)
    assert agreement.agreed(1000) == Agreed("x", proved=False)
    agreement.withdraw("a")
    assert agreement.agreed(1000) is None


def test_most_clients_change_a_provisional_agreement():
    agreement = stating(8, 1, a="x")
    assert agreement.agreed(1000) == Agreed("x", proved=False)
    agreement.state("b", "y", 1000)
    agreement.state("c", "y", 1000)
    assert agreement.agreed(1001) == Agreed("x", proved=False)
    assert agreement.agreed(2000) == Agreed("y", proved=False)


def test_a_client_that_connects_again_does_not_prolong_the_patience():
    agreement = stating(8, 1, a="x", b="x")
    for second in range(40):
        agreement.withdraw("b")
        agreement.state("b", "x", second)
    assert agreement.agreed(40) == Agreed("x", proved=False)


def test_a_client_counts_once():
    agreement = stating(3, 1)
    for value in ("x", "y", "y", "y"):
        agreement.state("a", value, 0)
    assert agreement.counts() == [("y", 1)]
    assert agreement.agreed(0) is None


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["x", "y", None])), max_size=60))
def test_a_minority_proves_nothing(events):
    agreement: Agreement[str] = Agreement(7, 1, PATIENCE)
    stated: dict[str, str] = {}
    proved = None
    for client, value in events:
        if value is None:
            agreement.withdraw(client)
            stated.pop(client, None)
        else:
            agreement.state(client, value, 0)
            stated[client] = value
        majority = next((v for v in "xy" if list(stated.values()).count(v) >= 4), None)
        proved = proved or majority
        agreed = agreement.agreed(0)
        assert (agreed and agreed.value) == proved
