"""Faults of a cluster in which a job trains, and their order, which a seed determines."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from process_chaos.faults import Fault


class Kind(StrEnum):
    """What happens to the cluster or to the job."""

    CLIENT_CRASHED = "the process of a client crashes"
    CLIENT_POD_DELETED = "the pod of a client is deleted"
    CLIENT_JOB_DELETED = "the Job of a client is deleted"
    CERTIFICATE_DELETED = "the Secret with the certificate of a client is deleted"
    SERVER_CRASHED = "the process of the server crashes"
    SERVER_POD_DELETED = "the pod of the server is deleted, without time to end"
    SERVICE_DELETED = "the Service of the server is deleted"
    EDGE_WITHOUT_POWER = "an edge node is without power for a while"
    EDGE_UNPLUGGED = "an edge node is without network for a while"
    SERVER_NODE_WITHOUT_POWER = "the node of the server is without power for a while"
    SERVER_NODE_UNPLUGGED = "the node of the server is without network for a while"
    OPERATOR_CRASHED = "the process of the operator crashes"
    OPERATOR_AWAY = "there is no operator for a while"
    API_SERVER_AWAY = "there is no API server for a while"
    ETCD_AWAY = "there is no etcd for a while"
    CONTROLLERS_AWAY = "there are no controllers of Kubernetes for a while"
    SCHEDULER_AWAY = "there is no scheduler for a while"
    DNS_AWAY = "there is no DNS for a while"
    SUSPENDED = "the job is suspended for a while"


COMPONENTS = {
    Kind.API_SERVER_AWAY: "kube-apiserver",
    Kind.ETCD_AWAY: "etcd",
    Kind.CONTROLLERS_AWAY: "kube-controller-manager",
    Kind.SCHEDULER_AWAY: "kube-scheduler",
    Kind.DNS_AWAY: "coredns",
}
"""Names that the harness has for the processes of the control plane."""

_AT_ONCE_SHARE = 0.4
_STEPS = (1, 30)
_SECONDS = (2.0, 15.0)


def draw(kinds: Sequence[Kind], count: int, seed: int) -> list[Fault]:
    """Draw faults of these kinds; every kind occurs before one occurs for the second time.

    Some happen after no further step, while the one before still has effects.
    """
    rng = np.random.default_rng(seed)
    order = [kinds[index] for _ in range(-(-count // len(kinds))) for index in rng.permutation(len(kinds))]
    return [
        Fault(
            kind,
            0 if rng.random() < _AT_ONCE_SHARE else int(rng.integers(*_STEPS)),
            int(rng.integers(2**31)),
            float(rng.uniform(*_SECONDS)),
        )
        for kind in order[:count]
    ]
