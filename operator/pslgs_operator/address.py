"""The address that clients dial, and the names that the server's certificate has to carry."""

from typing import NamedTuple

from pslgs.spec import ServiceType
from pslgs_operator import names
from pslgs_operator.job import Job
from pslgs_operator.observed import Observed


class Address(NamedTuple):
    """A host name or IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def dialled_address(job: Job, observed: Observed) -> Address | None:
    """Return where clients find the server; None while the cluster has not yet said it.

    A NodePort Service is reached at the user's address and a port that the cluster chooses, a LoadBalancer
    at the user's address or the one that it was given.
    """
    service = job.spec.server.service
    match service.type:
        case ServiceType.CLUSTER_IP:
            within = names.server_hosts(job.name, job.namespace)[1]
            return Address(service.address or within, names.GRPC_PORT)
        case ServiceType.NODE_PORT:
            host, port = service.address, observed.node_port
            return Address(host, port) if host and port else None
        case ServiceType.LOAD_BALANCER:
            given = service.address or observed.service_address
            return Address(given, names.GRPC_PORT) if given else None


def certified_hosts(job: Job, dialled: Address) -> tuple[str, ...]:
    """List all names of the server: those of its Service, and the one that clients dial."""
    return tuple(dict.fromkeys((*names.server_hosts(job.name, job.namespace), dialled.host)))
