"""Building and installing what the cluster is made of."""

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cluster.testcluster.claims import locked
from cluster.testcluster.layout import BIN
from cluster.testcluster.process import ClusterError, run, say

_SOURCE = Path(__file__).parents[1] / "hyperkube"
_COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "fake-gpu",
)
GO_TOOLS = {
    "coredns": "github.com/coredns/coredns@v1.12.4",
    "helm": "helm.sh/helm/v3/cmd/helm@v3.19.4",
    "kueue": "sigs.k8s.io/kueue/cmd/kueue@v0.17.0",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok@v0.7.0",
}
_DEBIAN_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "sysctl": "procps",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (
    f"-s -w -X {_VERSION}.gitVersion=v1.34.4 -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34"
)


def install_packages() -> None:
    """Install the Debian packages that are missing (as root).

    Raises:
        ClusterError: something is missing and there is no apt-get or no right to use it.
    """
    missing = [package for probe, package in _DEBIAN_PACKAGES.items() if not shutil.which(probe)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"install these first: {' '.join(missing)}")
    say(f"installing Debian packages on this machine: {' '.join(missing)}")
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq")
    run(*apt, "update")
    run(*apt, "install", "-y", "--no-install-recommends", *missing)


def are_built() -> bool:
    """Whether Kubernetes was built from the present sources."""
    return _is_done("hyperkube", _hash_of_sources())


def build(*tools: str) -> None:
    """Build Kubernetes and the named Go tools, unless the same version is already there.

    Raises:
        ClusterError: there is no Go, or a build failed.
    """
    with locked("build"):
        BIN.mkdir(parents=True, exist_ok=True)
        _once("hyperkube", _hash_of_sources(), _build_hyperkube)
        for tool in tools:
            _once(tool, GO_TOOLS[tool], partial(_install, GO_TOOLS[tool]))


def _build_hyperkube() -> None:
    _go("build", "-C", _SOURCE, "-trimpath", f"-ldflags={_KUBERNETES_FLAGS}", "-o", f"{BIN}/", ".", "./pause")
    for component in _COMPONENTS:
        link = BIN / component
        link.unlink(missing_ok=True)
        link.symlink_to("hyperkube")


def _install(module: str) -> None:
    _go("install", "-trimpath", "-ldflags=-s -w", module)


def _go(*arguments: str | Path) -> None:
    if not shutil.which("go"):
        raise ClusterError("building the cluster needs Go 1.24 or newer on the PATH")
    run("env", "CGO_ENABLED=0", f"GOBIN={BIN}", "go", *arguments)


def _once(name: str, version: str, make: Callable[[], object]) -> None:
    """Call ``make`` unless it was done for this version."""
    if not _is_done(name, version):
        say(f"building {name} from its Go modules, once; it takes 2 to 6 minutes on two cores")
        make()
        _stamp(name).write_text(version)


def _is_done(name: str, version: str) -> bool:
    return _stamp(name).exists() and _stamp(name).read_text() == version


def _stamp(name: str) -> Path:
    return BIN / f".{name}.version"


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    for file in sorted(_SOURCE.rglob("*")):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
