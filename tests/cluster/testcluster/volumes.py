"""Volumes for claims: folders of the host, which every node sees at the same place.

The provisioner that Kubernetes has for a single machine makes folders that only root can use.
"""

import shutil
from pathlib import Path
from typing import Any

from cluster.testcluster.kubectl import Kubectl
from cluster.testcluster.layout import Instance

STORAGE_CLASS = "standard"
_COUNT = 100  # each is for one claim, and is deleted with it
_WRITABLE_FOR_ALL = 0o777


def make(instance: Instance, administrator: Kubectl) -> None:
    """Make a default storage class, and volumes that are bound to claims as they come."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
    }
    folders = [_folder(instance) / str(number) for number in range(_COUNT)]
    for folder in folders:
        folder.mkdir(parents=True)
        folder.chmod(_WRITABLE_FOR_ALL)
    administrator.apply(storage_class, *map(_volume, folders))


def remove(instance: Instance) -> None:
    """Remove what is left of them."""
    shutil.rmtree(_folder(instance), ignore_errors=True)


def _folder(instance: Instance) -> Path:
    # Kubernetes deletes the folder of a deleted volume only if it lies here.
    return Path("/tmp") / f"{instance.bridge}-volumes"  # noqa: S108 - see above


def _volume(folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{folder.name}"},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }
