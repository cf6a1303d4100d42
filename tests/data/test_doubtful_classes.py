"""A spelling error in the labels would become a class of its own."""

import pytest

from pslgs.data.doubtful_classes import doubtful_classes


def test_a_single_sample_of_a_similar_name_is_doubtful():
    sites = [{"broken": 70, "good": 90}, {"brokn": 1, "good": 40, "worn": 39}]
    assert list(doubtful_classes(sites)) == [
        "the class 'brokn' has a single sample; did you mean broken?",
    ]


def test_numbers_with_a_damaged_one_are_no_classes():
    assert list(doubtful_classes([{"5100": 1, "7000.5": 1}, {"n/a?": 1, "9e3": 2}])) == [
        "most labels are numbers, but not 'n/a?': each becomes a class; correct it for a regression",
    ]


@pytest.mark.parametrize(
    "site",
    [
        {"broken": 70, "brokn": 2},
        {"broken": 70, "worn": 1},
        {"type 1": 70, "type 2": 1},
        {"0": 70, "10": 1},
        {"broken": 1, "brokn": 1},
        {},
    ],
    ids=["several samples", "another name", "numbered", "numbers", "no usual class", "no classes"],
)
def test_rare_classes_are_not_doubtful_for_that(site):
    assert list(doubtful_classes([site])) == []
