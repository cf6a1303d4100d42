"""Advice on a planned job: rules that check a plan, and the recommendation of a cut layer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pslgs.costs.quantities import bytes_of, operations, seconds, whole_percent
from pslgs.costs.result import Advice, CutFigures, Plan, Recommendation
from pslgs.data.loading import TRAINING
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.sampling.registry import STRATEGIES
from pslgs.sampling.schedule_statistics import DataDistribution
from pslgs.spec.job import JobSpec
from pslgs.splitting.trace import CUT_LAYER

MANY_TIMES: Final = 4
"""Ratio of smashed data to input above which there is advice."""

LONG_SECONDS: Final = 24 * 3600.0
_SMALL_STEPS: Final = 0.01
_DOMINATES: Final = 0.5
_WORTH_IT: Final = 0.95

_BATCH: Final = "spec.sampling.globalBatchSize"

Rule = Callable[[JobSpec, DataDistribution, Plan], Iterator[Advice]]


def advise(spec: JobSpec, distribution: DataDistribution, plan: Plan) -> tuple[Advice, ...]:
    """Return the advice of all rules on a plan."""
    return tuple(advice for rule in _RULES for advice in rule(spec, distribution, plan))


def _batch_size(spec: JobSpec, distribution: DataDistribution, plan: Plan) -> Iterator[Advice]:
    wanted = spec.sampling.global_batch_size
    too_large = batch_size_violation(wanted, distribution.samples)
    if too_large is not None:
        yield Advice(too_large.path, f"{too_large.problem}.")
    if plan.classes is not None and wanted < plan.classes:
        yield Advice(
            _BATCH,
            f"is {wanted}, so that no batch can hold all {plan.classes} classes; batches of several times as "
            "many samples deviate less.",
        )
    if plan.clients > wanted:
        outcome = (
            f"each contributes at least one sample, so that batches begin with at least {plan.clients}."
            if STRATEGIES[plan.strategy].least_local_batch
            else f"at most {wanted} of the {plan.clients} clients are active in a step."
        )
        yield Advice(_BATCH, f"is {wanted} for {plan.clients} clients: {outcome}")


def _clients_with_little(_: JobSpec, distribution: DataDistribution, plan: Plan) -> Iterator[Advice]:
    empty = int((distribution.sizes == 0).sum())
    share = plan.global_batch_size / plan.clients
    scarce = int(((distribution.sizes > 0) & (distribution.sizes < share)).sum())
    if empty:
        yield Advice(TRAINING, f"gives {_clients(empty)} no samples, so that these can never be active.")
    if scarce:
        yield Advice(
            TRAINING,
            f"gives {_clients(scarce)} fewer samples than one step's equal share, {share:.0f}; under "
            "FixedLocal they are dry after one step of an epoch.",
        )


def _collapse(_: JobSpec, __: DataDistribution, plan: Plan) -> Iterator[Advice]:
    own = plan.own_strategy
    if own.small_steps < _SMALL_STEPS:
        return
    late = own.deviation_at_end
    ends = "" if late is None else f", with a deviation of {late:.2f} in the last fifth"
    yield Advice(
        "spec.sampling.strategy",
        f"is {own.strategy}: clients run dry one after another, and {whole_percent(own.small_steps)} of an "
        f"epoch's {own.steps} steps have fewer than half of {plan.global_batch_size} samples{ends}. Global "
        f"takes {plan.strategies[0].steps} full steps.",
    )


def _strategy_remarks(spec: JobSpec, _: DataDistribution, plan: Plan) -> Iterator[Advice]:
    for path, text in STRATEGIES[plan.strategy].remarks(spec.sampling):
        yield Advice(path, text)


def _smashed_size(_: JobSpec, __: DataDistribution, plan: Plan) -> Iterator[Advice]:
    cut = plan.own_cut
    if cut.input_ratio > MANY_TIMES:
        yield Advice(
            CUT_LAYER,
            f"makes {bytes_of(cut.smashed_bytes)} of smashed data of a sample, {cut.input_ratio:.2g} "
            "times the input; compression or another cut makes them smaller.",
        )


def _wire(_: JobSpec, __: DataDistribution, plan: Plan) -> Iterator[Advice]:
    step, times = plan.own_cut.step, plan.step_seconds_by_compression
    if step.wire_share <= _DOMINATES:
        return
    present = times[plan.compression]
    faster = {name: after for name, after in times.items() if after < _WORTH_IT * present}
    predicted = ", ".join(f"{seconds(after)} with {name}" for name, after in faster.items())
    if predicted:
        yield Advice(
            "spec.transport.compression",
            f"is {plan.compression}: a step takes {seconds(step.total)}, "
            f"{whole_percent(step.wire_share)} of it on the wire; it would take {predicted}.",
        )
    elif step.latency > _DOMINATES * step.total:
        yield Advice(
            _BATCH,
            f"is {plan.global_batch_size}: a step takes {seconds(step.total)}, {seconds(step.latency)} of it "
            "latency, which no compression shortens; an epoch of larger batches has fewer steps.",
        )


def _timeout(spec: JobSpec, _: DataDistribution, plan: Plan) -> Iterator[Advice]:
    step, patience = plan.own_cut.step, spec.fault_tolerance.client_timeout_seconds
    one_way = step.latency / 2
    answer = max(step.parameters + step.forward, step.backward + step.gradient) + one_way
    if answer > patience:
        yield Advice(
            "spec.faultTolerance.clientTimeoutSeconds",
            f"is {patience}, but an answer takes some {seconds(answer)}; clients would count as lost.",
        )


def _memory(_: JobSpec, __: DataDistribution, plan: Plan) -> Iterator[Advice]:
    needed = plan.own_cut.client_bytes
    if plan.client_memory is not None and needed > plan.client_memory:
        yield Advice(
            CUT_LAYER,
            f"asks for some {bytes_of(needed)} at a client, which has "
            f"{bytes_of(plan.client_memory)}; cut earlier or make the batch smaller.",
        )


def _gpus(spec: JobSpec, _: DataDistribution, plan: Plan) -> Iterator[Advice]:
    if plan.global_batch_size < plan.server_gpus:
        yield Advice(
            "spec.server.gpus",
            f"is {spec.server.gpus}, but a global batch has {plan.global_batch_size} samples; a batch with "
            "fewer samples than GPUs is computed by the first of them.",
        )


def _quorum(spec: JobSpec, _: DataDistribution, plan: Plan) -> Iterator[Advice]:
    quorum = spec.fault_tolerance.quorum(plan.clients)
    if quorum > plan.clients:
        yield Advice(
            "spec.faultTolerance.minAvailableClients",
            f"is {quorum}, but there are {_clients(plan.clients)}; the job would wait, and fail.",
        )


def _duration(spec: JobSpec, _: DataDistribution, plan: Plan) -> Iterator[Advice]:
    deadline, needed = spec.active_deadline_seconds, plan.training_seconds
    if deadline is not None and needed > deadline:
        yield Advice(
            "spec.activeDeadlineSeconds",
            f"is {deadline}, but {plan.epochs} epochs take some {seconds(needed)}.",
        )
    elif needed > LONG_SECONDS:
        yield Advice("spec.epochs", f"is {plan.epochs}, which takes some {seconds(needed)}.")


def _clients(number: int) -> str:
    return f"{number} client" if number == 1 else f"{number:,} clients"


_RULES: Final[tuple[Rule, ...]] = (
    _batch_size,
    _clients_with_little,
    _collapse,
    _strategy_remarks,
    _smashed_size,
    _wire,
    _timeout,
    _memory,
    _gpus,
    _quorum,
    _duration,
)


_AS_GOOD: Final = 1.05
"""Ratio of step times below which cuts count as equally fast; the model is not more precise."""


def recommend(cuts: Sequence[CutFigures], own: str, client_memory: int | None) -> Recommendation:
    """Choose the cut with the shortest step among those that fit into a client's memory.

    Of cuts that are equally fast, it prefers the job's own, and then the one that needs the least memory.

    Args:
        cuts: The compared cuts, the job's own among them.
        own: The job's cut layer.
        client_memory: Memory of a client in bytes; None if unknown.
    """
    chosen = next(cut for cut in cuts if cut.layer == own)
    fitting = [cut for cut in cuts if client_memory is None or cut.client_bytes <= client_memory]
    if not fitting:
        return _nothing_fits(cuts, chosen, client_memory or 0)
    fastest = min(cut.step.total for cut in fitting)
    equals = [cut for cut in fitting if cut.step.total <= fastest * _AS_GOOD]
    best = min(equals, key=lambda cut: (cut is not chosen, cut.client_bytes, cut.client_flops))
    sentences = [_description(best, chosen)]
    if best is not chosen:
        sentences.append(_against(best, chosen, fits=chosen in fitting))
    elif others := [cut for cut in fitting if cut is not chosen]:
        sentences.append(_runner_up(min(others, key=lambda cut: cut.step.total)))
    if len(fitting) < len(cuts):
        sentences.append(f"{len(cuts) - len(fitting)} of {len(cuts)} cuts do not fit into a client's memory.")
    return Recommendation(best.layer, " ".join(sentences))


def _nothing_fits(cuts: Sequence[CutFigures], chosen: CutFigures, client_memory: int) -> Recommendation:
    least = min(cuts, key=lambda cut: (cut.client_bytes, cut is not chosen))
    reason = (
        f"no cut fits into {bytes_of(client_memory)} at a client; the one after {_name(least)} asks "
        f"for the least, some {bytes_of(least.client_bytes)}."
    )
    return Recommendation(least.layer, reason)


def _description(best: CutFigures, chosen: CutFigures) -> str:
    verb = "keep the cut" if best is chosen else "cut"
    return (
        f"{verb} after {_name(best)}. A step takes {_step_duration(best)}; a sample crosses as "
        f"{bytes_of(best.smashed_bytes)}, {best.input_ratio:.2g} times the input, and a client "
        f"computes {operations(best.client_flops)} for it."
    )


def _against(best: CutFigures, chosen: CutFigures, *, fits: bool) -> str:
    if not fits:
        needed = bytes_of(chosen.client_bytes)
        return f"The job's own, {_name(chosen)}, asks for some {needed} at a client, too much."
    ratio = chosen.step.total / best.step.total
    comparison = f"The job's own, {_name(chosen)}, takes {_step_duration(chosen)}, {ratio:.2g} times as long."
    if best.client_flops >= chosen.client_flops:
        return comparison
    return f"{comparison} But smashed data of an earlier layer reveal more of the samples."


def _runner_up(cut: CutFigures) -> str:
    return f"The best of the others, {_name(cut)}, takes {_step_duration(cut)}."


def _name(cut: CutFigures) -> str:
    return cut.layer or "the client part as it is"


def _step_duration(cut: CutFigures) -> str:
    return f"{seconds(cut.step.total)} ({whole_percent(cut.step.wire_share)} of it on the wire)"
