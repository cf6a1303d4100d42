"""Who is to blame for numbers with which nothing can be computed."""

from math import inf, nan

import pytest

from pslgs.coordination.numeric_faults import Received, fault_in_received, fault_in_result

OVERFLOW = 1.8e19


def received(computed_from=1.0, kind="smashed data", **magnitudes):
    return Received(kind, magnitudes, OVERFLOW, computed_from)


@pytest.mark.parametrize("value", [nan, inf], ids=str)
def test_a_client_is_to_blame_for_values_that_are_not_finite(value):
    fault = fault_in_received(received(a=1.0, b=value, c=2.0))
    assert fault.clients == {"b": "smashed data with values that are not finite"}


@pytest.mark.parametrize("others", [{"a": 1.0, "c": 2.0}, {}], ids=["of three", "alone"])
def test_a_client_is_to_blame_for_finite_values_too_large_to_square(others):
    fault = fault_in_received(received(b=3e38, **others))
    assert fault.clients == {"b": "smashed data with values of up to 3e+38"}


def test_ordinary_values_are_no_fault():
    assert fault_in_received(received(a=0.0, b=1e6, c=1e12)) is None


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(received(computed_from=1e12, a=1.0, b=inf), id="diverged parameters"),
        pytest.param(received(computed_from=nan, a=1.0, b=inf), id="parameters that are not finite"),
        pytest.param(received(a=inf, b=nan), id="everybody"),
    ],
)
def test_no_client_is_to_blame_for_what_the_model_makes_everybody_compute(case):
    fault = fault_in_received(case)
    assert fault.clients == {}
    assert "not finite" in fault.found


def test_labels_do_not_come_from_the_model_so_everybody_is_to_blame_for_them():
    fault = fault_in_received(received(computed_from=0.0, kind="labels", a=inf, b=nan))
    assert fault.clients.keys() == {"a", "b"}


def test_large_values_of_a_diverged_model_are_no_fault_unless_they_are_one_clients_alone():
    assert fault_in_received(received(computed_from=1e12, a=1e20, b=2e20, c=1e19)) is None
    assert fault_in_received(received(computed_from=1e12, a=1e20, b=1.0, c=1.0)).clients.keys() == {"a"}


@pytest.mark.parametrize(
    ("magnitudes", "blamed"),
    [
        pytest.param({"a": 1e15, "b": 2.0}, {"a"}, id="one of two"),
        pytest.param({"a": 1e15, "b": 2.0, "c": 3.0}, {"a"}, id="one of three"),
        pytest.param({"a": 1e15, "b": 1e14, "c": 3e13}, set(), id="all alike"),
        pytest.param({"a": 1e15}, set(), id="a client alone"),
        pytest.param({"a": 3.0, "b": 0.0}, set(), id="ordinary values"),
    ],
)
def test_only_outliers_are_to_blame_for_a_loss_that_is_not_finite(magnitudes, blamed):
    fault = fault_in_result("the loss is inf", [received(**magnitudes)])
    assert fault.clients.keys() == blamed
    assert fault.found == "the loss is inf"
