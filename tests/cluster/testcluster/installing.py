"""Clusters with the operator, installed by the chart."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.testcluster import access, appimages, stage
from cluster.testcluster.helm import NAMESPACE, RELEASE, helm_of, image
from cluster.testcluster.layout import IPV4, Family
from cluster.testcluster.process import ClusterError
from cluster.testcluster.stage import Cluster

DEPLOYMENT = "deployment/pslgs-operator"
_OPERATOR, _RUNTIME = "localhost/pslgs-operator:dev", "localhost/pslgs-runtime:dev"


@contextmanager
def cluster_with_operator(
    artefacts: Path, environ: Mapping[str, str] = os.environ, family: Family = IPV4
) -> Iterator[Cluster]:
    """Start a cluster of our own, or use the one that the environment names, and install the operator.

    Args:
        artefacts: Where that is written which tells why the operator is not available.
        environ: Environment variables.
        family: Addresses of a cluster of our own.

    Raises:
        UnavailableError: neither cluster can be had.
        ClusterError: the cluster did not start, or the operator is not available.
    """
    if kubeconfig := environ.get(access.EXISTING):
        running = Cluster(Path(kubeconfig), access.any_kubectl())
        images = (
            environ.get("PSLGS_TEST_OPERATOR_IMAGE", _OPERATOR),
            environ.get("PSLGS_TEST_RUNTIME_IMAGE", _RUNTIME),
        )
        _install_or_collect(running, images, artefacts)
        try:
            yield running
        finally:
            uninstall(running)
        return
    operator, runtime = appimages.ensure(appimages.OPERATOR, appimages.RUNTIME)
    with stage.cluster(family=family) as running:
        _install_or_collect(running, (operator, runtime), artefacts)
        yield running


def install(cluster: Cluster, operator_image: str, runtime_image: str) -> None:
    """Install the chart, or upgrade what was installed, and wait until the operator is available.

    Raises:
        UnavailableError: there is no Helm.
        ClusterError: something was refused, or it is not available in time.
    """
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.run.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    )
    jobs = {"serverImage": image(runtime_image), "clientImage": image(runtime_image)}
    helm_of(cluster).change(
        *("upgrade", "--install", "--wait", "--timeout=120s"), image=image(operator_image), jobs=jobs
    )


def uninstall(cluster: Cluster) -> None:
    """Take the operator and the CRD, with all jobs, out of a cluster that stays."""
    helm_of(cluster)("uninstall", RELEASE, "--ignore-not-found")
    cluster.run("delete", "crd/splittrainingjobs.pslgs.dev", f"namespace/{NAMESPACE}", "--ignore-not-found")


def _install_or_collect(running: Cluster, images: tuple[str, str], artefacts: Path) -> None:
    try:
        install(running, *images)
    except ClusterError as error:
        running.collect(artefacts)
        raise ClusterError(f"{error}\nsee {artefacts}") from error
