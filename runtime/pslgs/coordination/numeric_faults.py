"""Determines which clients caused values from which a step cannot be computed.

A value is unusable if it is not finite, or if it is so large that its square overflows.  Where it appears
does not show where it comes from: honest clients send infinities when the parameters that they received
have diverged, and one client's 3e38 makes the loss of the whole global batch infinite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

PLAUSIBLE: Final = 1e9
"""Parameters or gradients beyond this magnitude show that the training has diverged."""
OUTLIER_RATIO: Final = 1e6
"""A client is an outlier if its largest value exceeds the median client's by this factor."""


@dataclass(frozen=True, slots=True)
class Received:
    """Magnitudes of one kind of tensors that the active clients sent, one number per client.

    Attributes:
        kind: Name of the tensors, for messages: smashed data, labels, gradients.
        magnitudes: Client -> its largest absolute value; infinite or NaN if any value is not finite.
        overflow: Largest absolute value whose square is finite; infinite for no limit.
        computed_from: Largest absolute value of what the clients computed them from (parameters, cut
            gradients); 0 for labels, which do not depend on the model.
    """

    kind: str
    magnitudes: Mapping[str, float]
    overflow: float
    computed_from: float = 0.0


@dataclass(frozen=True, slots=True)
class NumericFault:
    """Values from which a step cannot be computed.

    Attributes:
        found: What was found, as a clause.
        clients: Client -> what it sent, as a clause that continues "it sent".  Empty if no client is to
            blame: the training has diverged.
    """

    found: str
    clients: Mapping[str, str] = field(default_factory=dict)


def fault_in_received(received: Received) -> NumericFault | None:
    """Check what clients sent, before anything is computed from it; None if it can be used.

    A client is to blame for values that are not finite if they were computed from plausible parameters and
    gradients and some other client's are finite, and for values too large to square if they were computed
    from plausible ones or are outliers.
    """
    kind, magnitudes = received.kind, received.magnitudes
    plausible = received.computed_from <= PLAUSIBLE
    broken = [client for client, magnitude in magnitudes.items() if not isfinite(magnitude)]
    if broken:
        all_of_several = len(broken) == len(magnitudes) > 1 and received.computed_from > 0
        if all_of_several or not plausible:
            of = f"{len(broken)} of {len(magnitudes)} active clients"
            largest = f"computed from parameters and gradients of up to {received.computed_from:.3g}"
            return NumericFault(f"the {kind} of {of}, {largest}, are not finite")
        return _blame(received, broken)
    too_large = [client for client, magnitude in magnitudes.items() if magnitude > received.overflow]
    if not plausible:
        outliers = _outliers(magnitudes)
        too_large = [client for client in too_large if client in outliers]
    return _blame(received, too_large) if too_large else None


def fault_in_result(found: str, received: Sequence[Received]) -> NumericFault:
    """Find the cause of a result that is not finite although all received values are.

    Clients whose values are outliers are to blame; without outliers, no client is.

    Args:
        found: The finding, as a clause.
        received: All received values that the result was computed from.
    """
    clients: dict[str, str] = {}
    for each in received:
        clients |= _blame(each, _outliers(each.magnitudes)).clients
    return NumericFault(found, clients)


def divergence(found: str) -> str:
    """Return the message of a training that ends because of ``found``, which no client caused."""
    return (
        f"the training diverged: {found}; start it again with a lower spec.optimizer.learningRate, or bring "
        "the inputs to mean 0 and variance 1 (spec.data.transforms)"
    )


def _outliers(magnitudes: Mapping[str, float]) -> list[str]:
    """List the outliers; the median is the lower one, so that one of two clients can be an outlier."""
    median = sorted(magnitudes.values())[(len(magnitudes) - 1) // 2]
    bound = OUTLIER_RATIO * max(1.0, median)
    return [client for client, magnitude in magnitudes.items() if magnitude > bound]


def _blame(received: Received, clients: Sequence[str]) -> NumericFault:
    sent = {client: _describe(received.kind, received.magnitudes[client]) for client in clients}
    return NumericFault(f"the {received.kind} of {', '.join(clients)} cannot be used", sent)


def _describe(kind: str, magnitude: float) -> str:
    if isfinite(magnitude):
        return f"{kind} with values of up to {magnitude:.3g}"
    return f"{kind} with values that are not finite"
