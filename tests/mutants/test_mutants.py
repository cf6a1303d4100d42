"""The mutants fit the code as it is; whether the tests find them is tried by ``make mutants``."""

import ast
from pathlib import Path

import pytest

from mutants.__main__ import ROOT, mutated
from mutants.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_changes_one_place_and_is_valid_python(mutant: Mutant):
    source = Path(ROOT / "runtime" / "pslgs" / mutant.module).read_text()
    changed = mutated(mutant, source)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_no_mutant_is_listed_twice():
    assert len({(each.module, each.before, each.after) for each in MUTANTS}) == len(MUTANTS) >= 40
