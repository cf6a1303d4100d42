"""etcd, the API server, the controllers and the scheduler, on the host."""

import ssl
from contextlib import closing
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from cluster.testcluster import volumes
from cluster.testcluster.certificates import Authority
from cluster.testcluster.kubectl import Kubectl
from cluster.testcluster.layout import BIN, Instance
from cluster.testcluster.process import Processes, wait_until

NODE_LOST_SECONDS = 8
DIE_WITHOUT_API_SERVER = frozenset({"kube-controller-manager", "kube-scheduler"})
"""Whoever is just starting when the API server goes ends, and counts on being started again by a kubelet."""
_LOOPBACK = "127.0.0.1"
_AUDIT_POLICY = Path(__file__).with_name("audit-policy.yaml")
_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def authority(instance: Instance) -> Authority:
    """The instance's certificate authority."""
    return Authority(instance.state / "pki")


def local_url(instance: Instance) -> str:
    """The API server as the host's own processes reach it."""
    return f"https://{_LOOPBACK}:{instance.port('api-server')}"


def administrator(instance: Instance) -> Kubectl:
    """kubectl as the administrator."""
    return Kubectl(BIN / "kubectl", instance.kubeconfig)


def start_api_server(instance: Instance, advertise: str) -> None:
    """Start etcd and the API server, which others reach at ``advertise``, and write a kubeconfig."""
    pki, processes = authority(instance), Processes(instance.state)
    pki.create()
    processes.start("etcd", [BIN / "etcd", *_etcd(instance)])
    processes.start("kube-apiserver", [BIN / "kube-apiserver", *_api_server(instance, advertise)])
    pki.write_kubeconfig(instance.kubeconfig, local_url(instance), "admin", ["system:masters"])
    wait_until(lambda: is_ready(instance), f"the API server, see {instance.logs}", 60)


def _etcd(instance: Instance) -> list[str]:
    clients, peers = (f"http://{_LOOPBACK}:{instance.port(purpose)}" for purpose in ("etcd", "etcd-peer"))
    return [
        f"--data-dir={instance.state / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


def _api_server(instance: Instance, advertise: str) -> list[str]:
    pki = authority(instance)
    addresses = (_LOOPBACK, instance.host_ip, instance.family.api_service, "localhost", *_NAMES)
    certificate, key = pki.issue("kube-apiserver", addresses=addresses)
    kubelet_certificate, kubelet_key = pki.issue("kube-apiserver", ["system:masters"])
    return [
        f"--etcd-servers=http://{_LOOPBACK}:{instance.port('etcd')}",
        f"--advertise-address={advertise}",
        f"--bind-address={_LOOPBACK if advertise == _LOOPBACK else instance.family.everywhere}",
        f"--secure-port={instance.port('api-server')}",
        f"--service-cluster-ip-range={instance.family.service_range}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki.certificate}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--kubelet-client-certificate={kubelet_certificate}",
        f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.token_key}",
        f"--service-account-signing-key-file={pki.token_key}",
        f"--audit-policy-file={_AUDIT_POLICY}",
        f"--audit-log-path={instance.audit_log}",
    ]


def is_ready(instance: Instance) -> bool:
    """Whether the API server says that it is ready."""
    context = ssl.create_default_context(cafile=authority(instance).certificate)
    with closing(HTTPSConnection(_LOOPBACK, instance.port("api-server"), timeout=5, context=context)) as http:
        try:
            http.request("GET", "/readyz")
            return http.getresponse().status == 200
        except (OSError, HTTPException):
            return False


def start_controllers(instance: Instance, *flags: str) -> None:
    """Start the controllers: jobs, garbage collection, certificates, node life cycle, volumes."""
    pki = authority(instance)
    config = pki.write_kubeconfig(
        instance.state / "kube-controller-manager.kubeconfig",
        local_url(instance),
        "system:kube-controller-manager",
    )
    Processes(instance.state).start(
        "kube-controller-manager",
        [
            BIN / "kube-controller-manager",
            f"--kubeconfig={config}",
            "--secure-port=0",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--root-ca-file={pki.certificate}",
            f"--service-account-private-key-file={pki.token_key}",
            f"--cluster-signing-cert-file={pki.certificate}",
            f"--cluster-signing-key-file={pki.key}",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={NODE_LOST_SECONDS}s",
            *flags,
        ],
    )


def start_scheduler(instance: Instance) -> None:
    """Start the scheduler."""
    config = authority(instance).write_kubeconfig(
        instance.state / "kube-scheduler.kubeconfig", local_url(instance), "system:kube-scheduler"
    )
    Processes(instance.state).start(
        "kube-scheduler",
        [BIN / "kube-scheduler", f"--kubeconfig={config}", "--secure-port=0", "--leader-elect=false"],
    )


def start_dns(instance: Instance) -> None:
    """Start CoreDNS on the host and point the cluster's DNS service at it."""
    corefile = instance.state / "Corefile"
    corefile.write_text(
        f".:{instance.port('dns')} {{\n  bind {instance.host_ip}\n  errors\n"
        f"  kubernetes cluster.local in-addr.arpa ip6.arpa {{\n    kubeconfig {instance.kubeconfig}\n"
        "    pods insecure\n  }\n  cache 5\n}\n"
    )
    Processes(instance.state).start("coredns", [BIN / "coredns", "-conf", corefile])


def apply_defaults(instance: Instance) -> None:
    """Create what a distribution ships: the DNS service and volumes."""
    ports = [
        {"name": name, "port": 53, "protocol": protocol}
        for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    labels = {"kubernetes.io/service-name": "kube-dns"}
    administrator(instance).apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": instance.family.dns_service, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": instance.family.name,
            "metadata": {"name": "kube-dns-host", "namespace": "kube-system", "labels": labels},
            "endpoints": [{"addresses": [instance.host_ip], "conditions": {"ready": True}}],
            "ports": [{**port, "port": instance.port("dns")} for port in ports],
        },
    )
    volumes.make(instance, administrator(instance))
