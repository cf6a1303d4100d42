"""The Pod Security Standard *restricted*, as far as a pod's own fields go."""

from collections.abc import Iterator, Mapping
from typing import Any

ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def offences(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a pod's spec that break the standard."""
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    for volume in spec.get("volumes", ()):
        if kinds := volume.keys() - {"name"} - ALLOWED_VOLUMES:
            yield f"volumes[{volume['name']}]: {', '.join(kinds)}"
    of_pod = spec.get("securityContext", {})
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        own = container.get("securityContext", {})
        effective = of_pod | own
        checks = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "runAsNonRoot": effective.get("runAsNonRoot") is True,
            "runAsUser": effective.get("runAsUser") != 0,
            "seccompProfile": effective.get("seccompProfile", {}).get("type")
            in {"RuntimeDefault", "Localhost"},
            "capabilities.drop": "ALL" in own.get("capabilities", {}).get("drop", ()),
            "capabilities.add": set(own.get("capabilities", {}).get("add", ())) <= {"NET_BIND_SERVICE"},
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", ())),
        }
        yield from (f"containers[{container['name']}].{name}" for name, kept in checks.items() if not kept)
