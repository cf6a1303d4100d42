import json
import os
import signal
import subprocess
import sys
import tarfile
from contextlib import nullcontext
from ipaddress import ip_network
from itertools import combinations
from pathlib import Path

import pytest

from cluster.testcluster import __main__ as command_line
from cluster.testcluster import binaries, claims, images, ocilayout, roster
from cluster.testcluster.audit import AuditLog
from cluster.testcluster.layout import IPV4, IPV6, MAX_INSTANCES, MAX_NODES, Instance, Node
from cluster.testcluster.process import ClusterError, Processes

INSTANCES = [Instance(number, family) for number in range(MAX_INSTANCES) for family in (IPV4, IPV6)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in ("layout", "claims"):
        monkeypatch.setattr(f"cluster.testcluster.{module}.CACHE", tmp_path)
    return tmp_path


def test_instances_share_no_port() -> None:
    instances = INSTANCES[::2]  # of one number there is one at a time, of either family
    ports = [one.port(purpose) for one in instances for purpose in ("api-server", "etcd", "etcd-peer", "dns")]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 32768


def test_pods_of_all_instances_have_addresses_of_their_own() -> None:
    nodes = [Node(instance, "n", index) for instance in INSTANCES for index in (0, MAX_NODES - 1)]
    ranges = [ip_network(node.pod_range) for node in nodes]
    assert not any(
        one.version == other.version and one.overlaps(other) for one, other in combinations(ranges, 2)
    )
    assert len({node.ip for node in nodes}) == len(nodes)


def test_names_of_network_interfaces_are_short_enough() -> None:
    assert max(len(Node(one, "n", MAX_NODES - 1).link) for one in INSTANCES) <= 15


def test_a_node_is_written_as_its_name_its_gpus_and_its_labels(cache: Path) -> None:
    [first, second] = roster.parse(INSTANCES[1], ["gpu-0:gpus=2", "edge-0:pslgs.dev/edge=true,zone=a"])
    assert (first.name, first.gpus, first.labels) == ("gpu-0", 2, {})
    assert (second.index, second.gpus, second.labels) == (1, 0, {"pslgs.dev/edge": "true", "zone": "a"})


@pytest.mark.parametrize("text", ["edge-0:zone", "gpu-0:gpus=many"], ids=str)
def test_a_node_written_otherwise_is_refused(text: str, cache: Path) -> None:
    with pytest.raises(ClusterError, match="is not NAME"):
        roster.parse(INSTANCES[1], [text])


def test_a_name_is_taken_by_one_node_only(cache: Path) -> None:
    INSTANCES[1].state.mkdir(parents=True)
    roster.add(Node(INSTANCES[1], "edge-0", 0))
    with pytest.raises(ClusterError, match="there is a node edge-0 already"):
        roster.add(Node(INSTANCES[1], "edge-0", 1))
    with pytest.raises(ClusterError, match="no node 'edge-1'; there are: edge-0"):
        roster.find(INSTANCES[1], "edge-1")


def test_a_claimed_instance_is_not_given_away_while_its_owner_lives(cache: Path) -> None:
    first, _ = claims.claim()
    second, _ = claims.claim()
    assert first != second
    claims.release(first)
    assert claims.claim() == (first, False)


def test_what_a_dead_owner_left_is_to_be_cleared(cache: Path) -> None:
    first, _ = claims.claim()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    first.state.with_suffix(".owner").write_text(json.dumps({"pid": dead.pid, "started": "1"}))
    assert claims.claim() == (first, True)


def test_an_instance_that_a_person_started_is_left_alone(cache: Path) -> None:
    INSTANCES[1].state.mkdir(parents=True)
    assert claims.claim()[0] != INSTANCES[1]


def test_a_process_is_found_again_stopped_and_started_again(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    pid = processes.start("sleeper", ["sleep", "100"])
    assert Processes(tmp_path).running("sleeper") == pid
    Processes(tmp_path).stop("sleeper")
    assert processes.running("sleeper") is None
    again = processes.start_again("sleeper")
    try:
        assert again != pid
        with pytest.raises(ClusterError, match="still runs"):
            processes.start_again("sleeper")
    finally:
        processes.stop("sleeper", signal.SIGKILL)


def test_a_process_that_ignores_a_request_is_ended_by_force(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    log = tmp_path / "logs" / "stubborn.log"
    while not log.read_text():
        os.sched_yield()
    processes.stop("stubborn", patience=0.3)
    assert processes.running("stubborn") is None


def test_a_process_that_ended_leaves_its_last_words(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    pid = processes.start("brief", ["sh", "-c", "seq 100; echo no such disk >&2"])
    os.waitpid(pid, 0)
    assert processes.last_words("brief", lines=2) == "brief ended; its log ends with\n100\nno such disk"


def test_another_process_with_the_same_id_is_not_ours(tmp_path: Path) -> None:
    known = {"impostor": {"pid": os.getpid(), "started": "1", "command": ["sleep"]}}
    (tmp_path / "processes.json").write_text(json.dumps(known))
    processes = Processes(tmp_path)
    assert processes.running("impostor") is None
    processes.stop("impostor")


def test_the_cluster_is_built_without_naming_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(binaries, "build", lambda *tools: built.extend(tools))
    monkeypatch.setattr(binaries, "install_packages", lambda: built.append("packages"))
    command_line.main(["build"])
    assert built == ["coredns", "helm", "packages"]


def test_running_nodes_are_given_the_images_that_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, old, new = (tmp_path / name for name in ("store", "old", "new"))
    held = {store: {"operator:1", "runtime:1"}, old: {"operator:1"}, new: {"operator:1", "runtime:1"}}
    archives: dict[str, str] = {}
    exported: list[str] = []

    def ctr(*words: object) -> str:
        match words:
            case ["ctr", "-a", socket, "-n", "k8s.io", "images", "ls", "-q"]:
                return "\n".join(held[Path(str(socket))])
            case ["ctr", "-a", _, "-n", "k8s.io", "images", "export", archive, name]:
                archives[str(archive)] = str(name)
                exported.append(str(name))
            case ["ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive]:
                held[Path(str(socket))].add(archives[str(archive)])
        return ""

    monkeypatch.setattr(images, "run", ctr)
    monkeypatch.setattr(images, "CACHE", tmp_path)
    monkeypatch.setattr(images, "_store", lambda: nullcontext(store))
    images.give(["operator:1", "runtime:1"], [old, new])
    assert held[old] == held[new] == held[store]
    assert exported == ["runtime:1"], "the archive of an image is large"


def audit_line(verb: str, stage: str = "ResponseComplete", **target: str) -> str:
    event = {"user": {"username": "ann"}, "verb": verb, "stage": stage, "objectRef": target}
    answer = {"responseStatus": {"code": 200}, "requestReceivedTimestamp": "2026-01-01T00:00:00.5Z"}
    return json.dumps(event | answer) + "\n"


def test_a_watch_counts_once_and_a_half_written_line_not_at_all(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    assert list(log.requests()) == []
    log.file.write_text(audit_line("list", resource="pods"))
    mark = log.mark()
    with log.file.open("a") as file:
        file.write(audit_line("watch", "ResponseStarted", resource="pods"))
        file.write(audit_line("watch", resource="pods"))
        file.write(audit_line("patch", resource="jobs", subresource="status", name="digits"))
        file.write(audit_line("get", resource="pods")[:-10])
    seen = [(one.user, one.verb, one.resource) for one in log.requests(mark)]
    assert seen == [("ann", "watch", "pods"), ("ann", "patch", "jobs/status")]


def write_blob(layout: Path, name: str, content: object) -> str:
    folder = layout / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return f"sha256:{name}"


def add_image(layout: Path, tag: str, layers: list[str]) -> dict[str, object]:
    parts = [{"digest": write_blob(layout, layer, layer)} for layer in layers]
    config = {"digest": write_blob(layout, f"config-{tag}", {})}
    digest = write_blob(layout, f"manifest-{tag}", {"config": config, "layers": parts})
    return {"digest": digest, "annotations": {"org.opencontainers.image.ref.name": f"localhost/it:{tag}"}}


def test_an_archive_lacks_other_images_and_the_layers_that_are_known(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    images = [
        add_image(layout, "old", ["large", "old-code"]),
        add_image(layout, "new", ["large", "new-code"]),
    ]
    (layout / "index.json").write_text(json.dumps({"manifests": images}))
    (layout / "oci-layout").write_text("{}")
    ocilayout.keep_only(layout, "localhost/it:new")
    ocilayout.write_archive(layout, tmp_path / "it.tar", without={"sha256:large"})
    with tarfile.open(tmp_path / "it.tar") as tar:
        blobs = [Path(name).name for name in tar.getnames() if name.startswith("blobs/")]
        index = json.loads(Path(layout / "index.json").read_text())
    assert blobs == ["config-new", "manifest-new", "new-code"]
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "localhost/it:new"
    assert (layout / "blobs" / "sha256" / "large").exists()
