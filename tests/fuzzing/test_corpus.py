"""Inputs that once broke a decoder do so no more."""

from pathlib import Path

import pytest

from fuzzing.engine import Finding, bounded, decode
from fuzzing.table import CORPUS, TARGETS, corpus_of

KEPT = [name for name in TARGETS if corpus_of(name)]


@pytest.mark.parametrize("name", KEPT)
def test_what_was_found_is_mended(name: str, scratch: Path) -> None:
    target = TARGETS[name](scratch)
    target.decode(target.seeds[0])  # without bounds, as it imports libraries
    with bounded():
        outcomes = {file.name: decode(target, file.read_bytes()) for file in corpus_of(name)}
    found = {name: each for name, each in outcomes.items() if isinstance(each, Finding)}
    assert {name: each.trace for name, each in found.items()} == {}


def test_every_folder_of_the_corpus_is_that_of_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(KEPT)


def test_the_corpus_is_small() -> None:
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 200_000
