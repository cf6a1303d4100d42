"""Images on their way from buildah to the store that new nodes start from.

The large layers go once: they stay in an OCI layout, and containerd takes an archive without what it has.
"""

from cluster.testcluster import images, ocilayout
from cluster.testcluster.buildah import buildah
from cluster.testcluster.layout import CACHE


def hand_over(*references: str) -> None:
    """Put images of buildah's store into the other one, unless they are there, instead of other tags.

    Raises:
        ClusterError: an image could not be written or read.
    """
    present = images.names()
    for reference in references:
        if reference not in present:
            _hand_over(reference)


def _hand_over(reference: str) -> None:
    name = reference.rpartition(":")[0].rpartition("/")[2]
    layout, archive = CACHE / "oci" / name, CACHE / f"{name}.tar"
    layout.parent.mkdir(exist_ok=True)
    # buildah compresses what it writes into a layout, every time, and this is the quickest way.
    fast = ("--compression-format=zstd", "--compression-level=1")
    buildah("push", *fast, reference, f"oci:{layout}:{reference}")
    ocilayout.keep_only(layout, reference)
    ocilayout.write_archive(layout, archive, without=images.blobs())
    try:
        images.load([archive])
    finally:
        archive.unlink()
    images.remove_others(reference)
