"""Which cut layer suits the links and the clients' memory, and why, in words."""

from collections.abc import Sequence
from typing import Final

from pslgs.planning import words
from pslgs.planning.figures import CutFigures, Recommendation

_AS_GOOD: Final = 1.05
"""Cuts whose steps take longer by less than this count as equally fast; the model is no more exact."""


def recommend(cuts: Sequence[CutFigures], own: str, client_memory: int | None) -> Recommendation:
    """Choose the cut with the shortest step among those that fit into a client's memory.

    Of cuts that are equally fast, the job's own comes first, and then the one that asks for the least memory.

    Args:
        cuts: What there is, the job's own among them.
        own: The job's cut layer.
        client_memory: Bytes that a client has; None where that is unknown.
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
        f"no cut fits into {words.bytes_of(client_memory)} at a client; the one after {_name(least)} asks "
        f"for the least, some {words.bytes_of(least.client_bytes)}."
    )
    return Recommendation(least.layer, reason)


def _description(best: CutFigures, chosen: CutFigures) -> str:
    verb = "keep the cut" if best is chosen else "cut"
    return (
        f"{verb} after {_name(best)}. A step takes {_duration(best)}; a sample crosses as "
        f"{words.bytes_of(best.smashed_bytes)}, {best.input_ratio:.2g} times the input, and a client "
        f"computes {words.short(best.client_flops)}FLOP for it."
    )


def _against(best: CutFigures, chosen: CutFigures, *, fits: bool) -> str:
    if not fits:
        needed = words.bytes_of(chosen.client_bytes)
        return f"The job's own, {_name(chosen)}, asks for some {needed} at a client, too much."
    ratio = chosen.step.total / best.step.total
    comparison = f"The job's own, {_name(chosen)}, takes {_duration(chosen)}, {ratio:.2g} times as long."
    if best.client_flops >= chosen.client_flops:
        return comparison
    return f"{comparison} But smashed data of an earlier layer tell more of the samples."


def _runner_up(cut: CutFigures) -> str:
    return f"The best of the others, {_name(cut)}, takes {_duration(cut)}."


def _name(cut: CutFigures) -> str:
    return cut.layer or "the client part as it is"


def _duration(cut: CutFigures) -> str:
    return f"{words.seconds(cut.step.total)} ({words.percent(cut.step.wire_share)} of it on the wire)"
