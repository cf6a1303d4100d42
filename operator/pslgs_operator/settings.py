"""The operator's settings, read from environment variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pslgs.spec.errors import InputError, Violation
from pslgs.spec.manifest import parse_yaml

_PREFIX = "PSLGS_"
LogLevel = Literal["debug", "info", "warning", "error"]
_TEXTS: Final = (str, LogLevel)

_USER: Final = 65532
"""User and group of the images; it owns no file."""

Duration = Annotated[timedelta, Field(gt=timedelta(0))]
JsonObject = Mapping[str, Any]

POD_SECURITY_CONTEXT: Final[JsonObject] = MappingProxyType(
    {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
)
SERVER_RESOURCES: Final[JsonObject] = MappingProxyType({"requests": {"cpu": "500m", "memory": "1Gi"}})
CLIENT_RESOURCES: Final[JsonObject] = MappingProxyType({"requests": {"cpu": "250m", "memory": "512Mi"}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The operator's settings.

    Attributes:
        server_image: Image of server pods, e.g. one whose torch has CUDA.
        client_image: Image of client pods.
        image_pull_policy: As in a pod.
        image_pull_secrets: Names of Secrets in the job's namespace.
        pod_security_context: Security context of job pods, in full; a template may change it.
        server_resources: Requests and limits of server containers, for resources that the template of the
            job does not mention.
        client_resources: The same for client containers.
        namespace: The operator's own namespace; its pods may read the servers' status.
        operator_labels: Labels of the operator's pods; no other pods of its namespace may read the status.
        monitoring_namespaces: Namespaces whose pods may read metrics, beside the operator's.
        monitoring_pod_labels: Labels of those pods; all pods of the namespaces if there are none.
        kueue: Whether Kueue admits a job with a queue as a whole, by a Workload that the operator creates;
            otherwise each of its Jobs by itself.
        pod_monitors: Whether to create a PodMonitor for each job.
        pod_monitor_labels: Labels of those, by which a Prometheus selects them.
        pod_monitor_endpoint: Fields of the PodMonitors' endpoint, such as ``interval``; ``relabelings`` are
            added to those that the operator sets.
        client_series: Clients of a job that get metrics of their own; with 0, client pods are not scraped.
        poll_interval: Time between two polls of a running server's status.
        silence_bound: Time without an answer after which a server is not Ready.
        status_interval: Minimum time between two writes of a job's status that change only training figures,
            and maximum time between two writes while its server runs.
        certificate_lifetime: Of servers' and clients' certificates; they are renewed in the last third.
        cluster_domain: DNS domain of the cluster, in the server's certificate.
        watch_namespaces: Namespaces whose jobs are reconciled; empty for all.
        lease_namespace: Namespace of the Lease that the replicas of this release hold in turn.
        lease_name: Name of that Lease; with the namespace it is the release's name towards other releases.
        instance: Name of the operator's pod, in Events and as the Lease's holder; by default the host name.
        liveness_port: Port of the HTTP server for the kubelet: ``/healthz`` and ``/readyz``.
        metrics_port: Port of the HTTP server for Prometheus: ``/metrics``. Both ports serve all pages.
        json_logs: Whether the log is JSON, one object per line.
        log_level: Least severe level that is logged.
    """

    server_image: str = "pslgs-runtime"
    client_image: str = "pslgs-runtime"
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    pod_security_context: JsonObject = field(default_factory=lambda: POD_SECURITY_CONTEXT)
    server_resources: JsonObject = field(default_factory=lambda: SERVER_RESOURCES)
    client_resources: JsonObject = field(default_factory=lambda: CLIENT_RESOURCES)
    namespace: str = "pslgs-system"
    operator_labels: Mapping[str, str] | None = None
    monitoring_pod_labels: Mapping[str, str] | None = None
    monitoring_namespaces: tuple[str, ...] = ("monitoring",)
    kueue: bool = False
    pod_monitors: bool = False
    pod_monitor_labels: Mapping[str, str] | None = None
    pod_monitor_endpoint: JsonObject | None = None
    client_series: Annotated[int, Field(ge=0)] = 1000
    poll_interval: Duration = timedelta(seconds=5)
    silence_bound: Duration = timedelta(seconds=30)
    status_interval: Duration = timedelta(seconds=30)
    certificate_lifetime: Duration = timedelta(days=365)
    cluster_domain: str = "cluster.local"
    watch_namespaces: tuple[str, ...] = ()
    lease_namespace: str = "pslgs-system"
    lease_name: str = "pslgs-operator"
    instance: str = ""
    liveness_port: int = 8080
    metrics_port: int = 9090
    json_logs: bool = True
    log_level: LogLevel = "info"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read ``PSLGS_SERVER_IMAGE`` and so on: texts as they are, durations in seconds, the rest YAML.

        Raises:
            InputError: a variable has another type than its setting, or names no setting.
        """
        known = {_PREFIX + field.name.upper(): field for field in fields(cls)}
        unknown = [name for name in environ if name.startswith(_PREFIX) and name not in known]
        if wrong := sorted(name for name in unknown if not _SERVICE_LINK.search(name)):
            raise InputError(
                *(Violation(name, f"names no setting; known are {', '.join(known)}") for name in wrong)
            )
        values = {
            field.name: environ[name] if field.type in _TEXTS else parse_yaml(environ[name], name)
            for name, field in known.items()
            if name in environ
        }
        try:
            return _ADAPTER.validate_python(values)
        except ValidationError as error:
            raise InputError(*(_violation(each, environ) for each in error.errors())) from error


_ADAPTER = TypeAdapter(Settings)
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT(_[0-9]+_\w+)?)$")
"""Variables that the kubelet sets in every container for a Service whose name begins with ``pslgs-``."""


def _violation(error: ErrorDetails, environ: Mapping[str, str]) -> Violation:
    name = _PREFIX + str(error["loc"][0]).upper()
    problem = error["msg"][0].lower() + error["msg"][1:]
    return Violation(name, f"is {environ[name]!r}, which is refused: {problem}")
