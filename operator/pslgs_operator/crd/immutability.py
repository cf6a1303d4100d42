"""What may not change once a training has started, because its result would be nobody's."""

from typing import Final

from pslgs_operator.crd.rule import Reason, Rule

_WORDS: Final = "cannot change once training has started; make a new job"

_DEFINING: Final = (
    "model",
    "data",
    "loss",
    "epochs",
    "optimizer",
    "sampling",
    "transport",
    "clients.perNode",
)


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
    *(_fixed(f"spec.{path}", f"self.spec.{path} == oldSelf.spec.{path}") for path in _DEFINING),
    *(_fixed("spec.data", _same_order(source)) for source in ("train", "evaluation")),
    _fixed(
        "spec.checkpoint.storage",
        "has(self.spec.checkpoint.storage) == has(oldSelf.spec.checkpoint.storage) && "
        f"(!({_in_both('checkpoint.storage')}) || "
        "self.spec.checkpoint.storage == oldSelf.spec.checkpoint.storage)",
    ),
)
