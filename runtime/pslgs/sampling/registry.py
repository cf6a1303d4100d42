"""The registry of sampling strategies: every module of `pslgs.sampling.strategies` has one, `STRATEGY`.

All code that draws, plans, simulates, compares or reports looks strategies up here.  To add one, write its
module and add its name to `SamplingStrategy`, or to `Baseline` if it is for simulations only.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Final

from pslgs.sampling import strategies
from pslgs.sampling.strategy import Strategy
from pslgs.spec.errors import InputError
from pslgs.spec.training import Baseline, SamplingStrategy
from pslgs.spec.violations import nearest


def _discover() -> Iterator[Strategy]:
    for module in pkgutil.iter_modules(strategies.__path__, f"{strategies.__name__}."):
        strategy = import_module(module.name).STRATEGY
        if not isinstance(strategy, Strategy):
            raise TypeError(f"{module.name}.STRATEGY is no Strategy")
        yield strategy


_ORDER: Final = [*map(str, SamplingStrategy), *map(str, Baseline)]

STRATEGIES: Final[dict[str, Strategy]] = {
    strategy.name: strategy for strategy in sorted(_discover(), key=lambda each: _ORDER.index(each.name))
}
"""Name -> strategy: those of manifests, then the baselines, each in the order of its enumeration."""


def strategy_named(name: str, source: str) -> Strategy:
    """Return the strategy called ``name``.

    Args:
        name: As the user wrote it.
        source: Where it was written: a field's path, an option or an argument.

    Raises:
        InputError: there is no such strategy.
    """
    if name not in STRATEGIES:
        known = list(STRATEGIES)
        raise InputError.at(source, f"is '{name}', must be one of {', '.join(known)}{nearest(name, known)}")
    return STRATEGIES[name]
