"""buildah, with a store of its own, on a machine without a container engine."""

import os
import subprocess
from pathlib import Path

from cluster.testcluster.layout import CACHE
from cluster.testcluster.process import ClusterError

_STORE = CACHE / "buildah"
_OPTIONS = ("--storage-driver=overlay", f"--root={_STORE / 'root'}", f"--runroot={_STORE / 'run'}")


def buildah(*arguments: str | Path) -> str:
    """Run buildah and return what it printed.

    Raises:
        ClusterError: it failed.
    """
    words = ["buildah", *_OPTIONS, *(str(word) for word in arguments)]
    isolated = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(words, env=isolated, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"buildah {' '.join(words[4:])}: exit {done.returncode}\n{done.stderr.strip()[-4000:]}"
        )
    return done.stdout


def tags() -> set[str]:
    """The names of all images of the store, with their tags."""
    return set(buildah("images", "--format={{.Name}}:{{.Tag}}").split())
