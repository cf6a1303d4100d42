"""Trainings that take their time: each sample is read by a function of the user's own that is slow."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from cluster.scenarios import slow_digits

_FOLDER = "/opt/slow"


def slowed(job: dict[str, Any], *, seconds_a_sample: float) -> list[dict[str, Any]]:
    """The objects to apply: a job of `trainings.training` that reads slowly, and the code for that."""
    name = f"{job['metadata']['name']}-code"
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"slow_digits.py": Path(slow_digits.__file__).read_text()},
    }
    slow = deepcopy(job)
    slow["spec"]["data"]["train"] = {
        "format": "Custom",
        "entrypoint": "slow_digits:dataset",
        "options": {"path": "/data/digits.npz", "seconds": seconds_a_sample},
    }
    pod = slow["spec"]["clients"]["template"]["spec"]
    pod["volumes"].append({"name": "code", "configMap": {"name": name}})
    [container] = pod["containers"]
    container["volumeMounts"].append({"name": "code", "mountPath": _FOLDER})
    container["env"] = [{"name": "PYTHONPATH", "value": _FOLDER}]
    return [code, slow]
