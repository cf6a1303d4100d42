"""How texts are bounded."""

import pytest

from pslgs_operator.text import cut, listing, plain, word


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a"], "a", id="one"),
        pytest.param(["a", "b"], "a and b", id="two"),
        pytest.param(list("abcde"), "a, b, c, d and e", id="five"),
        pytest.param(list("abcdefg"), "a, b, c, d, e and 2 more", id="many"),
    ],
)
def test_names_are_listed_in_words(names: list[str], expected: str) -> None:
    assert listing(names) == expected


def test_a_text_is_cut_by_bytes_and_says_so() -> None:
    assert cut("ä" * 10, 20) == "ä" * 10
    assert cut("ä" * 10, 19) == "ä" * 8 + "…"
    assert plain("  a\tb\x00c \n") == "a b c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("OOMKilled", "OOMKilled", id="fine"),
        pytest.param("OutOfnvidia.com/gpu", "OutOfnvidiacomgpu", id="signs"),
        pytest.param("7 dwarfs", "Dwarfs", id="a-number-first"),
        pytest.param("…", "Unknown", id="nothing-left"),
    ],
)
def test_a_foreign_reason_becomes_a_word_of_the_api(text: str, expected: str) -> None:
    assert word(text) == expected
