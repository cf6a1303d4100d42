"""Clusters with the operator, installed from plain manifests."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.testcluster import access, appimages, stage
from cluster.testcluster.appimages import ROOT
from cluster.testcluster.process import ClusterError
from cluster.testcluster.stage import Cluster, is_true

NAMESPACE = "pslgs-system"
DEPLOYMENT = "deployment/pslgs-operator"
_AVAILABLE_SECONDS = 120
_MANIFEST = Path(__file__).parents[1] / "install" / "operator.yaml"
_OPERATOR, _RUNTIME = "localhost/pslgs-operator:dev", "localhost/pslgs-runtime:dev"


@contextmanager
def cluster_with_operator(artefacts: Path, environ: Mapping[str, str] = os.environ) -> Iterator[Cluster]:
    """Start a cluster of our own, or use the one that the environment names, and install the operator.

    What tells why it is not available goes to ``artefacts``.

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
    with stage.cluster() as running:
        _install_or_collect(running, (operator, runtime), artefacts)
        yield running


def install(cluster: Cluster, operator_image: str, runtime_image: str) -> None:
    """Apply the CRD and the operator, and wait until it is available.

    Raises:
        ClusterError: something was refused, or it is not available in time.
    """
    crds = ROOT / "crds"
    cluster.run("apply", "--server-side", "--filename", crds)
    cluster.run("wait", "--for=condition=Established", "--timeout=30s", "--filename", crds)
    manifest = _MANIFEST.read_text().replace(_OPERATOR, operator_image).replace(_RUNTIME, runtime_image)
    cluster.run("apply", "--server-side", "--filename=-", stdin=manifest)
    cluster.wait_for(NAMESPACE, DEPLOYMENT, is_true("Available"), _AVAILABLE_SECONDS)


def uninstall(cluster: Cluster) -> None:
    """Take the operator and the CRD, with all jobs, out of a cluster that stays."""
    cluster.run("delete", "--ignore-not-found", "--filename", _MANIFEST)
    cluster.run("delete", "--ignore-not-found", "--filename", ROOT / "crds")


def _install_or_collect(running: Cluster, images: tuple[str, str], artefacts: Path) -> None:
    try:
        install(running, *images)
    except ClusterError as error:
        running.collect(artefacts)
        raise ClusterError(f"{error}\nsee {artefacts}") from error
