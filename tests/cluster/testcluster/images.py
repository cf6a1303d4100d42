"""A store of container images that every new node starts from.

The store is one containerd's root.  A node's disk is filled from it with hard links (layers and blobs are
never written again), so an image of any size is unpacked once, not once a node and a run.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.testcluster.claims import locked
from cluster.testcluster.layout import BIN, CACHE, PAUSE_IMAGE
from cluster.testcluster.process import Processes, run, wait_until

STORE = CACHE / "images"


def load(archives: Iterable[Path], sockets: Iterable[Path] = ()) -> None:
    """Import image archives (OCI or Docker) into the store and into the containerds that already run."""
    with _store() as store:
        for archive in archives:
            for socket in (store, *sockets):
                run("ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive)


def give(references: Iterable[str], sockets: Iterable[Path]) -> None:
    """Give images of the store to the running containerds that lack them: nodes older than the images."""
    for reference in references:
        lacking = [socket for socket in sockets if reference not in _names(socket)]
        if lacking:
            with _store() as store, tempfile.TemporaryDirectory(dir=CACHE) as folder:
                archive = Path(folder, "image.tar")
                run("ctr", "-a", store, "-n", "k8s.io", "images", "export", archive, reference)
                for socket in lacking:
                    run("ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive)


def names() -> set[str]:
    """The images of the store."""
    with _store() as store:
        return _names(store)


def _names(socket: Path) -> set[str]:
    return set(run("ctr", "-a", socket, "-n", "k8s.io", "images", "ls", "-q").split())


def blobs() -> set[str]:
    """The digests of what the store holds: layers, manifests and configurations."""
    with _store() as store:
        return set(run("ctr", "-a", store, "-n", "k8s.io", "content", "ls", "-q").split())


def remove_others(reference: str) -> None:
    """Remove all images of the store that have the same name and another tag; nodes keep theirs."""
    name = reference.rpartition(":")[0]
    for other in names() - {reference}:
        if other.rpartition(":")[0] == name:
            with _store() as store:
                run("ctr", "-a", store, "-n", "k8s.io", "images", "rm", "--sync", other)


def fill(disk: Path) -> None:
    """Give a new node's containerd every image of the store, sharing the bytes."""
    if any(disk.iterdir()):
        return
    with locked("images"):
        run("cp", "-al", f"{STORE / 'root'}/.", disk)
        for database in disk.rglob("*.db"):
            run("cp", "--remove-destination", STORE / "root" / database.relative_to(disk), database)


def pause_image() -> Path:
    """The image that holds a pod's namespaces open, made from one static binary."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(BIN / "pause", "pause")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer.getvalue(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive = CACHE / "pause.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive


@contextmanager
def _store() -> Iterator[Path]:
    """The store's containerd, while it is needed; the address of its socket."""
    STORE.mkdir(parents=True, exist_ok=True)
    socket, processes = STORE / "run" / "containerd.sock", Processes(STORE)
    folders: list[str | Path] = ["--root", STORE / "root", "--state", STORE / "run", "--address", socket]
    with locked("images"):
        if "image-store" in processes.names():
            processes.stop("image-store")  # that of a program that was killed
        processes.start("image-store", ["containerd", *folders])
        try:
            wait_until(lambda: run("ctr", "-a", socket, "version", check=False), "the image store", 30)
            yield socket
        finally:
            processes.stop("image-store")
