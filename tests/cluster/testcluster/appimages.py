"""The project's own images: built from the checkout, and put into the store that new nodes start from.

An image's tag is a hash of what it is made of, so nothing happens where nothing has changed, and a change of
the code makes a thin layer only.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.testcluster import baseimage
from cluster.testcluster.buildah import buildah, tags
from cluster.testcluster.claims import locked
from cluster.testcluster.handover import hand_over
from cluster.testcluster.process import say

ROOT = Path(__file__).parents[3]
_SHARED = ("requirements", "pyproject.toml", ".dockerignore")
_PIP_SETTINGS = ("cert", "default-timeout", "index-url", "trusted-host")


@dataclass(frozen=True, slots=True)
class AppImage:
    """One of the project's images; ``code`` is what it makes use of, as the import contracts say."""

    name: str
    dockerfile: str
    code: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    def reference(self) -> str:
        """The image's name with the hash of what it is made of."""
        digest = hashlib.sha256("\n".join(self.arguments).encode())
        for file in _inputs(str(Path(self.dockerfile).parent), *self.code, *_SHARED):
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
        return f"localhost/{self.name}:{digest.hexdigest()[:12]}"


OPERATOR = AppImage(
    "pslgs-operator",
    "images/operator/Dockerfile",
    ("operator", "runtime/pslgs/spec", "runtime/pslgs/identity"),
)
# No machine of the tests has a real GPU, and the libraries of CUDA are two thirds of the image.
RUNTIME = AppImage("pslgs-runtime", "images/runtime/Dockerfile", ("runtime",), ("TORCH_CUDA=none",))


def ensure(*wanted: AppImage) -> list[str]:
    """Build what has changed and put it into the store; return the references.

    Raises:
        ClusterError: a build failed.
    """
    with locked("app-images"):
        references = [built(image) for image in wanted]
        hand_over(*references)
    return references


def built(image: AppImage) -> str:
    """Build an image if it has changed; return its reference."""
    reference = image.reference()
    if reference not in tags():
        say(f"building the image {reference}; the first time, it takes 1 to 3 minutes on two cores")
        _build(image, reference)
        _forget_others(image, reference)
    return reference


def _build(image: AppImage, reference: str) -> None:
    pip = _pip_settings()
    mounts = [f"--volume={path}:{path}:ro" for path in (pip.get("PIP_CERT"),) if path]
    arguments = (f"BASE_IMAGE={baseimage.make()}", *image.arguments, *(f"{k}={v}" for k, v in pip.items()))
    build = (
        *("build", "--layers", "--network=host", f"--file={ROOT / image.dockerfile}", *mounts),
        *(f"--build-arg={argument}" for argument in arguments),
    )
    # The name keeps the large stage from being pruned.
    buildah(*build, "--target=requirements", f"--tag=localhost/{image.name}-requirements", ROOT)
    buildah(*build, f"--tag={reference}", ROOT)


def _forget_others(image: AppImage, reference: str) -> None:
    for other in tags() - {reference}:
        if other.startswith(f"localhost/{image.name}:"):
            buildah("rmi", other)
    buildah("rmi", "--prune")


def _inputs(*parts: str) -> Iterator[Path]:
    for part in parts:
        files = sorted((ROOT / part).rglob("*")) if (ROOT / part).is_dir() else [ROOT / part]
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def _pip_settings() -> dict[str, str]:
    """How this machine's pip reaches its index, as build arguments; nothing of it stays in an image."""
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    settings: dict[str, str] = {}
    for line in sorted(listed.splitlines(), reverse=True):  # :env: comes last: it has precedence
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _PIP_SETTINGS:
            settings[f"PIP_{name.upper().replace('-', '_')}"] = value.strip("'")
    return settings
