"""What the programs of a node are told."""

import json
from typing import Any

from cluster.testcluster.controlplane import NODE_LOST_SECONDS, authority
from cluster.testcluster.layout import PAUSE_IMAGE, Node

_CONTAINERD = f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
"""


def write(node: Node) -> None:
    """Write the configuration of the node's programs to its disk."""
    pki, server = authority(node.instance), _server(node)
    (node.root / "containerd.toml").write_text(_CONTAINERD)
    (node.root / "resolv.conf").touch()  # empty: names outside the cluster do not exist
    (node.disk("/etc/cni/net.d") / "10-pods.conflist").write_text(json.dumps(_pod_network(node)))
    pki.write_kubeconfig(node.root / "kubeconfig", server, f"system:node:{node.name}", ["system:nodes"])
    pki.write_kubeconfig(
        node.root / "kube-proxy.kubeconfig", server, "system:kube-proxy", ["system:node-proxier"]
    )
    (node.root / "kubelet.json").write_text(json.dumps(_kubelet_configuration(node)))


def kubelet(node: Node) -> list[str]:
    """The kubelet's command line."""
    return [
        f"--config={node.root / 'kubelet.json'}",
        f"--kubeconfig={node.root / 'kubeconfig'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        f"--node-labels={','.join(f'{key}={value}' for key, value in node.labels.items())}",
    ]


def kube_proxy(node: Node) -> list[str]:
    """The command line of kube-proxy; limits of connection tracking are the host's to set."""
    return [
        f"--kubeconfig={node.root / 'kube-proxy.kubeconfig'}",
        f"--hostname-override={node.name}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        f"--bind-address={node.ip}",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]


def _server(node: Node) -> str:
    instance = node.instance
    return f"https://{instance.family.host(instance.host_ip)}:{instance.port('api-server')}"


def _pod_network(node: Node) -> dict[str, Any]:
    ranges = [[{"subnet": node.pod_range}]]
    addresses = {
        "type": "host-local",
        "ranges": ranges,
        "routes": [{"dst": f"{node.instance.family.everywhere}/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet_configuration(node: Node) -> dict[str, Any]:
    pki = authority(node.instance)
    certificate, key = pki.issue(node.name, addresses=[node.ip, node.name])
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "address": node.ip,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.instance.control_group}",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [node.instance.family.dns_service],
        "clusterDomain": "cluster.local",
        "resolvConf": str(node.root / "resolv.conf"),
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": NODE_LOST_SECONDS,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "registerNode": True,
        "shutdownGracePeriod": "0s",
    }
