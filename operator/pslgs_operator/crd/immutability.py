"""The CEL rules of what cannot change once a job has begun to train."""

from typing import Final

from pslgs.spec.definition import DEFINING_FIELDS
from pslgs_operator.crd.cel import Reason, Rule

_WORDS: Final = "cannot change once training has started; make a new job"

_FIXED: Final = (*dict.fromkeys(path.partition(".")[0] for path in DEFINING_FIELDS), "clients.perNode")


def _fixed(path: str, same: str) -> Rule:
    started = "has(oldSelf.status) && has(oldSelf.status.trainingStartTime)"
    return Rule(path, f"!({started}) || ({same})", _WORDS, Reason.FORBIDDEN)


def _in_both(*fields: str) -> str:
    return " && ".join(f"has({each}.{field})" for field in fields for each in ("self.spec", "oldSelf.spec"))


def _same_order(part: str) -> str:
    """Compare class names in their order; a list without duplicates is a set to CEL, equal in any order."""
    classes = f"{part}.classes"
    now, before = (f"{each}.spec.{classes}.map(name, name)" for each in ("self", "oldSelf"))
    return f"!({_in_both(part, classes)}) || {now} == {before}"


def _decay(job: str) -> str:
    ema = f"{job}.spec.ema"
    return f"(has({ema}) && has({ema}.decay) ? {ema}.decay : -1.0)"


def _metric(job: str) -> str:
    return f"(has({job}.spec.metric) ? {job}.spec.metric : '')"


IMMUTABILITY_RULES: Final = (
    *(
        _fixed(f"spec.{path}", f"self.spec.{path} == oldSelf.spec.{path}")
        for path in _FIXED
        if path != "ema"  # a part without any default is not there unless it is given
    ),
    _fixed("spec.ema", f"{_decay('self')} == {_decay('oldSelf')}"),
    *(_fixed("spec.data", _same_order(part)) for part in ("data", "data.train", "data.evaluation")),
    _fixed(
        "spec.evaluateEveryEpochs",
        "self.spec.optimizer.schedule.name != 'ReduceOnPlateau' || "
        "self.spec.evaluateEveryEpochs == oldSelf.spec.evaluateEveryEpochs",
    ),
    _fixed(
        "spec.metric",
        "self.spec.optimizer.schedule.name != 'ReduceOnPlateau' || "
        f"{_metric('self')} == {_metric('oldSelf')}",
    ),
    _fixed("spec.server.service.type", "self.spec.server.service.type == oldSelf.spec.server.service.type"),
    _fixed(
        "spec.server.service.address",
        "has(self.spec.server.service.address) == has(oldSelf.spec.server.service.address) && "
        f"(!({_in_both('server.service.address')}) || "
        "self.spec.server.service.address == oldSelf.spec.server.service.address)",
    ),
    _fixed(
        "spec.checkpoint.storage",
        "has(self.spec.checkpoint.storage) == has(oldSelf.spec.checkpoint.storage) && "
        f"(!({_in_both('checkpoint.storage')}) || "
        "self.spec.checkpoint.storage == oldSelf.spec.checkpoint.storage)",
    ),
)
