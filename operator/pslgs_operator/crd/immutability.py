"""Immutability rules: what may not change once training has started, because its result would be nobody's.

Clients outlive a server that is started again, and have read the whole of each field; so the rules here fix
the top-level fields that hold a `pslgs.spec.definition.DEFINING_FIELDS`, and what the children are made of.
"""

from typing import Final

from pslgs.spec.definition import DEFINING_FIELDS
from pslgs_operator.crd.rule import Reason, Rule

_WORDS: Final = "cannot change once training has started; make a new job"

_FIXED: Final = (*dict.fromkeys(path.partition(".")[0] for path in DEFINING_FIELDS), "clients.perNode")


def _fixed(path: str, same: str) -> Rule:
    started = "has(oldSelf.status) && has(oldSelf.status.trainingStartTime)"
    return Rule(path, f"!({started}) || ({same})", _WORDS, Reason.FORBIDDEN)


def _in_both(*fields: str) -> str:
    return " && ".join(f"has({each}.{field})" for field in fields for each in ("self.spec", "oldSelf.spec"))


def _same_order(source: str) -> str:
    """Compare class names in their order; a list without duplicates is a set to CEL, equal in any order."""
    classes = f"data.{source}.classes"
    now, before = (f"{each}.spec.{classes}.map(name, name)" for each in ("self", "oldSelf"))
    return f"!({_in_both(f'data.{source}', classes)}) || {now} == {before}"


IMMUTABILITY_RULES: Final = (
    *(_fixed(f"spec.{path}", f"self.spec.{path} == oldSelf.spec.{path}") for path in _FIXED),
    *(_fixed("spec.data", _same_order(source)) for source in ("train", "evaluation")),
    _fixed(
        "spec.checkpoint.storage",
        "has(self.spec.checkpoint.storage) == has(oldSelf.spec.checkpoint.storage) && "
        f"(!({_in_both('checkpoint.storage')}) || "
        "self.spec.checkpoint.storage == oldSelf.spec.checkpoint.storage)",
    ),
)
