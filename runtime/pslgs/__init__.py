"""Parallel split learning with global sampling (arXiv 2407.15738).

What the commands do, for notebooks and scripts:

    import pslgs

    job = pslgs.load_job("job.yaml", ["spec.epochs=5"])
    pslgs.plan(job, bandwidth="20Mbps").advice
    pslgs.simulate(job, clients=64, partition="severe").steps.table()
    pslgs.compare(job, clients=64, partition="severe", profile="lte").table()
    pslgs.load_model("runs/job")(inputs)

The functions return dataclasses; their ``table()`` is a mapping of columns, as a data frame takes it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pslgs.comparison.api import compare
    from pslgs.inference.trained_model import load_model
    from pslgs.launch.plan_job import plan
    from pslgs.simulation.api import simulate
    from pslgs.spec.errors import InputError
    from pslgs.spec.manifest import load_job, parse_job

__all__ = ["InputError", "compare", "load_job", "load_model", "parse_job", "plan", "simulate"]

_HOMES: Final = {
    "InputError": "pslgs.spec.errors",
    "compare": "pslgs.comparison.api",
    "load_job": "pslgs.spec.manifest",
    "load_model": "pslgs.inference.trained_model",
    "parse_job": "pslgs.spec.manifest",
    "plan": "pslgs.launch.plan_job",
    "simulate": "pslgs.simulation.api",
}
"""Imported when they are first used: torch takes seconds, and the operator does without it."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    if name not in _HOMES:
        raise AttributeError(f"module 'pslgs' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
