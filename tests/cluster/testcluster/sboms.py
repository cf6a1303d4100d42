"""SBOMs of the project's images."""

import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from images.sbom import describe

from cluster.testcluster.appimages import OPERATOR, RUNTIME, built
from cluster.testcluster.buildah import buildah
from cluster.testcluster.claims import locked


def write_sboms(folder: Path) -> list[Path]:
    """Write the SBOM of each image into a folder, as ``NAME.cdx.json``; build what has changed.

    Raises:
        ClusterError: a build failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    written = []
    with locked("app-images"):
        for image in (OPERATOR, RUNTIME):
            container = buildah("from", "--pull-never", built(image)).strip()
            try:
                root = Path(buildah("mount", container).strip())
                file = folder / f"{image.name}.cdx.json"
                file.write_text(describe(root, image.name, version("pslgs"), date), encoding="utf-8")
            finally:
                buildah("rm", container)
            written.append(file)
    return written
