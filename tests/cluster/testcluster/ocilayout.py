"""Image layouts of the Open Container Initiative: folders of blobs that are named by their hash."""

import json
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

_REFERENCE = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


def keep_only(layout: Path, reference: str) -> None:
    """Forget all other images of the layout and the blobs that only they had; tell containerd the name."""
    index = json.loads((layout / "index.json").read_text())
    kept = [one for one in index["manifests"] if one["annotations"][_REFERENCE] == reference]
    for manifest in kept:
        manifest["annotations"][_CONTAINERD_NAME] = reference
    (layout / "index.json").write_text(json.dumps({**index, "manifests": kept}))
    needed = {digest for manifest in kept for digest in _blobs(layout, manifest["digest"])}
    for blob in (layout / "blobs" / "sha256").iterdir():
        if f"sha256:{blob.name}" not in needed:
            blob.unlink()


def write_archive(layout: Path, archive: Path, without: Collection[str]) -> None:
    """Write a layout that holds one image into an archive, without the blobs that the reader has."""
    with tarfile.open(archive, "w") as tar:
        for name in ("oci-layout", "index.json"):
            tar.add(layout / name, name)
        for blob in sorted((layout / "blobs" / "sha256").iterdir()):
            if f"sha256:{blob.name}" not in without:
                tar.add(blob, f"blobs/sha256/{blob.name}")


def _blobs(layout: Path, digest: str) -> list[str]:
    manifest: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
