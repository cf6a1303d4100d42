"""Jobs that need a person: each with what is wrong with it, and how its status should tell."""

from copy import deepcopy
from typing import Any

from cluster.scenarios.trainings import training

SERVER = "spec.server.template.spec.containers[name=server]"
CLIENTS = "spec.clients.template.spec"


def with_server(job: dict[str, Any], **container: Any) -> dict[str, Any]:
    """Change fields of the server's container."""
    return _changed(job, "server", container)


def with_clients(job: dict[str, Any], **container: Any) -> dict[str, Any]:
    """Change fields of the clients' container."""
    return _changed(job, "clients", container)


def wrong_image() -> dict[str, Any]:
    return with_server(training("wrong-image"), image="localhost/nothing:1", imagePullPolicy="Never")


def wrong_registry() -> dict[str, Any]:
    return with_clients(training("wrong-registry"), image="registry.invalid/nothing:1")


def no_node() -> dict[str, Any]:
    return training("no-node", selector={"example.com/site": "nowhere"})


def too_many_gpus() -> dict[str, Any]:
    """The server's pod asks for more GPUs than a node has, past what the manifest's own field allows."""
    job = training("two-gpus")
    server = job["spec"]["server"]
    [container] = server["template"]["spec"]["containers"]
    resources = container.get("resources", {})
    limits = resources.get("limits", {}) | {"nvidia.com/gpu": 2}
    server["template"]["spec"]["containers"] = [{**container, "resources": resources | {"limits": limits}}]
    server["gpus"] = 1
    return job


def no_folder() -> dict[str, Any]:
    """The folder that clients mount is on no node."""
    job = training("no-folder")
    job["spec"]["clients"]["template"]["spec"]["volumes"][0]["hostPath"]["path"] = "/srv/nothing"
    return job


def no_file(name: str = "no-file") -> dict[str, Any]:
    """The folder is there, and the file in it is not."""
    job = training(name)
    job["spec"]["data"]["train"]["path"] = "/data/nothing.npz"
    return job


def bad_cut() -> dict[str, Any]:
    job = training("bad-cut")
    job["spec"]["model"]["cutLayer"] = "layer9"
    return job


def small_server() -> dict[str, Any]:
    return with_server(training("small-server", backoffLimit=0), resources={"limits": {"memory": "64Mi"}})


def small_clients() -> dict[str, Any]:
    return with_clients(training("small-clients"), resources={"limits": {"memory": "64Mi"}})


def _changed(job: dict[str, Any], role: str, fields: dict[str, Any]) -> dict[str, Any]:
    changed = deepcopy(job)
    [container] = changed["spec"][role]["template"]["spec"]["containers"]
    container.update(fields)
    return changed
