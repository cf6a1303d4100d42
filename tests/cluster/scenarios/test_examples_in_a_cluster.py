"""The examples, applied as they are, where their data exist."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from cluster.scenarios.trainings import volume
from cluster.testcluster.appimages import ROOT
from cluster.testcluster.stage import Cluster, is_true

pytestmark = pytest.mark.e2e

EDGES = ("edge-0", "edge-1")


def example(name: str) -> Path:
    return ROOT / "examples" / f"{name}.yaml"


@pytest.mark.parametrize("name", ["digits", "deadline-ttl"])
def test_an_example_with_data_of_its_own_trains(cluster, namespace, name):
    cluster.apply(namespace, example(name))
    found = cluster.wait_for(namespace, f"stj/{name}", is_true("Complete"), seconds=300)
    assert float(found["status"]["training"]["accuracy"].removesuffix("%")) > 85


def test_the_example_that_sleeps_takes_no_pod_before_it_is_woken(cluster, namespace):
    cluster.apply(namespace, example("suspended"))
    cluster.wait_for(namespace, "stj/suspended", is_true("Suspended"), seconds=15)
    assert cluster.run.json("--namespace", namespace, "get", "pods,jobs")["items"] == []
    wake = '--patch={"spec": {"suspend": false}}'
    cluster.run("--namespace", namespace, "patch", "stj/suspended", "--type=merge", wake)
    cluster.wait_for(namespace, "stj/suspended", is_true("Ready"), seconds=240)


def test_the_example_with_one_volume_for_all_clients_trains(own_cluster, namespace):
    own_cluster.apply(namespace, a_claim("wards"), a_claim("wards-model"))
    folder = volume(own_cluster, namespace, "wards")
    for number, node in enumerate(EDGES):
        give_wards(folder / f"{node}-0", seed=number)
    own_cluster.apply(namespace, example("edge-pvc"))
    found = own_cluster.wait_for(namespace, "stj/edge-pvc", is_true("Complete"), seconds=300)
    assert found["status"]["model"]["claimName"] == "wards-model"


def test_the_example_with_pools_trains_with_two_clients_on_each_node(own_cluster, namespace, pools):
    for number, node in enumerate(EDGES):
        for client in (0, 1):
            give_lines(own_cluster.srv(node) / "lines", f"{node}-{client}", seed=2 * number + client)
    job = yaml.safe_load(example("pools").read_text())
    [server] = job["spec"]["server"]["template"]["spec"]["containers"]
    server["resources"]["requests"] = {"cpu": "100m"}  # the machines of the tests are small
    own_cluster.apply(namespace, job)
    found = own_cluster.wait_for(namespace, "stj/pools", is_true("Complete"), seconds=300)
    assert found["status"]["clients"]["summary"] == "4/4"
    assert found["status"]["server"]["node"] == "gpu-0"


def test_the_example_with_images_on_the_nodes_disks_trains(own_cluster, namespace):
    for number, node in enumerate(EDGES):
        give_scans(own_cluster.srv(node) / "scans", seed=number)
    job = yaml.safe_load(example("edge-hostpath").read_text())
    job["spec"]["epochs"] = 2  # a ResNet without a GPU
    own_cluster.apply(namespace, job)
    own_cluster.wait_for(namespace, "stj/edge-hostpath", is_true("Complete"), seconds=400)


@pytest.fixture
def pools(own_cluster: Cluster) -> Iterator[None]:
    """The labels and the taint that the example asks for."""
    own_cluster.run("label", "node", "gpu-0", "example.com/pool=gpu")
    own_cluster.run("taint", "node", "gpu-0", "example.com/pool=gpu:NoSchedule")
    own_cluster.run("label", "node", *EDGES, "example.com/pool=edge", "example.com/site=north")
    yield
    own_cluster.run("taint", "node", "gpu-0", "example.com/pool-")
    own_cluster.run("label", "node", "gpu-0", *EDGES, "example.com/pool-", "example.com/site-")


def a_claim(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def give_wards(folder: Path, seed: int) -> None:
    folder.mkdir()
    x, y = samples(seed, inputs=24, classes=2)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)


def give_lines(folder: Path, client: str, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    x, y = samples(seed, inputs=128, classes=5)
    np.savez(folder / f"{client}.npz", x=x, y=y)


def samples(seed: int, inputs: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(200, inputs)).astype(np.float32)
    return x, (x[:, :classes]).argmax(axis=1)


def give_scans(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    for file in ("train-0.parquet", "test.parquet"):
        labels = [0, 1, 2, 0] * 8  # of two nodes, one global batch
        table = {"img": [{"bytes": a_scan(seed, label)} for label in labels], "label": labels}
        pq.write_table(pa.table(table), folder / file)


def a_scan(seed: int, label: int) -> bytes:
    pixels = np.random.default_rng((seed, label)).integers(0, 255, size=(64, 64, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return written.getvalue()
