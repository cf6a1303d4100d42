"""Resources of the main containers: default requests, GPUs, and the cores to compute with."""

from collections.abc import Mapping
from typing import Any, Final

from pslgs.spec import PodTemplate
from pslgs_operator import names
from pslgs_operator.fields import mapping, mappings
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

CPU_LIMIT: Final = "CPU_LIMIT"
"""Environment variable with the container's CPU limit; without a limit, with the cores of the node."""

_LISTS: Final = ("requests", "limits")


def server_resources(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Return the resources of the server's container, before the user's template is merged into them."""
    resources = _defaults(settings.server_resources, _of_template(job.spec.server.template, names.SERVER))
    gpus = job.spec.server.gpus
    gpu = {job.spec.server.gpu_resource: gpus} if gpus else {}
    return resources | ({"limits": {**resources.get("limits", {}), **gpu}} if gpu else {})


def client_resources(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Return the resources of a client's container, before the user's template is merged into them."""
    return _defaults(settings.client_resources, _of_template(job.spec.clients.template, names.CLIENT))


def requests_device(job: TrainingJob) -> bool:
    """Return whether the server requests a GPU, or its template another device of a plugin or driver."""
    given = _of_template(job.spec.server.template, names.SERVER)
    extended = any("/" in name for part in _LISTS for name in mapping(given, part))
    return job.spec.server.gpus > 0 or extended or bool(given.get("claims"))


def clients_per_cores(job: TrainingJob, settings: Settings) -> int:
    """Return the number of clients that share the cores of a client's container.

    Clients of one node without a CPU limit share the node's cores.
    """
    given = _of_template(job.spec.clients.template, names.CLIENT)
    limits = {**mapping(settings.client_resources, "limits"), **mapping(given, "limits")}
    return job.spec.clients.per_node if limits.get("cpu") is None else 1


def _of_template(template: PodTemplate, role: str) -> Mapping[str, Any]:
    """Return the resources that the user's template gives the main container."""
    containers = mappings(template.spec, "containers")
    return next((mapping(each, "resources") for each in containers if each.get("name") == role), {})


def _defaults(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of the resources for which ``given`` has neither a request nor a limit.

    A default request above the user's limit would be refused, and so would a default limit below the user's
    request.
    """
    named = {name for part in _LISTS for name in mapping(given, part)}
    kept = {
        part: {name: amount for name, amount in mapping(defaults, part).items() if name not in named}
        for part in _LISTS
    }
    return {part: amounts for part, amounts in kept.items() if amounts}
