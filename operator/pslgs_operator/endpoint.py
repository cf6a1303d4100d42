"""The address that clients dial, and the host names of the server's certificate."""

from typing import NamedTuple

from pslgs.spec import ServiceType
from pslgs_operator import names
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.training_job import TrainingJob


class Endpoint(NamedTuple):
    """A host name or IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def server_endpoint(job: TrainingJob, snapshot: Snapshot) -> Endpoint | None:
    """Return where clients find the server; None while the cluster has not yet said it.

    A NodePort Service is reached at the user's address and a port that the cluster chooses, a LoadBalancer
    at the user's address or the one that it was given.
    """
    service = job.spec.server.service
    match service.type:
        case ServiceType.CLUSTER_IP:
            within = f"{names.server_name(job.name)}.{job.namespace}.svc"
            return Endpoint(service.address or within, names.GRPC_PORT)
        case ServiceType.NODE_PORT:
            host, port = service.address, snapshot.node_port
            return Endpoint(host, port) if host and port else None
        case ServiceType.LOAD_BALANCER:
            given = service.address or snapshot.service_address
            return Endpoint(given, names.GRPC_PORT) if given else None


def certified_hosts(job: TrainingJob, dialled: Endpoint, settings: Settings) -> tuple[str, ...]:
    """List all names of the server: those of its Service, and the one that clients dial."""
    of_service = names.server_hosts(job.name, job.namespace, settings.cluster_domain)
    return tuple(dict.fromkeys((*of_service, dialled.host)))
