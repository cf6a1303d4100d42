"""The files of a run are copied from the server's pod, or by a pod that mounts its volume and is deleted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster_commands.digits_job import (
    COMPLETE,
    ENDED,
    KEPT,
    FakeAccess,
    server_pod,
    server_spec,
    training_job,
)
from manifests.pod_security import offences
from pslgs.cluster.access import ClusterError
from pslgs.cluster.reader_pod import Volume, reader_pod, reading
from pslgs.cluster.run_files import run_files
from pslgs.cluster.training_job import read_job
from pslgs.spec import InputError

NO_STORAGE: Mapping[str, Any] = {"checkpoint": {}}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The volume of the run, with a model that takes several transfers."""
    folder = tmp_path / "volume" / "digits"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 80_001)
    (folder / "metrics.jsonl").write_bytes(b'{"kind":"step"}\n')
    return folder.parent


def copied(access: FakeAccess, tmp_path: Path, name: str = "model.safetensors", **options: Any) -> Path:
    target = tmp_path / "copy"
    with run_files(access, read_job(access, "digits"), **options) as files:
        assert files.exists(name)
        files.copy(name, target, lambda _done, _total: None)
    return target


@pytest.mark.parametrize("spec", [KEPT, NO_STORAGE], ids=["kept", "not kept"])
def test_the_server_gives_the_files_while_it_runs(spec: dict, volume: Path, tmp_path: Path) -> None:
    pods = [server_pod(spec=server_spec(**spec))]
    access = FakeAccess.of(volume, training_job(**spec), pods)
    assert copied(access, tmp_path).read_bytes() == (volume / "digits" / "model.safetensors").read_bytes()
    assert access.created == []


def test_a_pod_reads_the_volume_after_the_end_and_is_deleted(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(volume, training_job(COMPLETE), [server_pod(ENDED)])
    assert copied(access, tmp_path).read_bytes() == (volume / "digits" / "model.safetensors").read_bytes()
    assert len(access.created) == 1
    assert access.deleted == ["/api/v1/namespaces/lab/pods/digits-reader-z"]


def test_the_volume_is_found_by_the_servers_job_without_a_pod(volume: Path, tmp_path: Path) -> None:
    jobs = [{"spec": {"template": {"spec": server_spec()}}}]
    access = FakeAccess.of(volume, training_job(COMPLETE), [], jobs)
    copied(access, tmp_path)
    assert access.created[0]["spec"]["containers"][0]["image"] == "example/runtime:1"


def test_a_suspended_job_needs_an_image(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(volume, training_job({"phase": "Suspended"}), [])
    with pytest.raises(InputError, match="--image"):
        copied(access, tmp_path)
    copied(access, tmp_path, image="example/other:2")
    spec = access.created[0]["spec"]
    assert spec["containers"][0]["image"] == "example/other:2"
    assert spec["volumes"] == [{"name": "run", "persistentVolumeClaim": {"claimName": "digits-checkpoints"}}]


def test_without_storage_the_files_ended_with_the_pod(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(
        volume, training_job(COMPLETE, **NO_STORAGE), [server_pod(ENDED, spec=server_spec(**NO_STORAGE))]
    )
    with pytest.raises(InputError, match=r"has no spec\.checkpoint\.storage.*add checkpoint: "):
        copied(access, tmp_path)


def test_the_pod_meets_the_restricted_standard_and_mounts_the_claim_only_for_reading(volume: Path) -> None:
    access = FakeAccess.of(volume, training_job(COMPLETE), [server_pod(ENDED)])
    pod = reader_pod(read_job(access, "digits"), Volume("digits-checkpoints", "/var/lib/pslgs"))
    spec = pod["spec"]
    assert list(offences(spec)) == []
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": "run", "mountPath": "/var/lib/pslgs", "readOnly": True}
    ]
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] == 3600
    assert pod["metadata"]["ownerReferences"][0]["name"] == "digits"
    assert "pslgs.dev/job" not in pod["metadata"]["labels"]  # the operator shall not take it for a client


def test_the_pod_goes_where_the_servers_may_go(volume: Path) -> None:
    template = {
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "nodeSelector": {"zone": "a"},
        "imagePullSecrets": [{"name": "registry"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1234, "fsGroup": 1234},
    }
    pods = [server_pod(ENDED, spec=server_spec() | template)]
    job = read_job(FakeAccess.of(volume, training_job(COMPLETE), pods), "digits")
    spec = reader_pod(job, Volume("digits-checkpoints", "/var/lib/pslgs"))["spec"]
    assert {name: spec[name] for name in template if name != "securityContext"} == {
        name: value for name, value in template.items() if name != "securityContext"
    }
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (1234, 1234)
    assert list(offences(spec)) == []


NEVER = {
    "an image that cannot be pulled": (
        {
            "phase": "Pending",
            "containerStatuses": [
                {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
            ],
        },
        "has not started: ImagePullBackOff: no such image",
    ),
    "no node": (
        {
            "phase": "Pending",
            "conditions": [{"status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}],
        },
        "has not started after 120 s: Unschedulable: 0/3 nodes",
    ),
    "a pod that ends": ({"phase": "Failed"}, "has not started: its phase is Failed"),
}


@pytest.mark.parametrize(("status", "message"), NEVER.values(), ids=NEVER.keys())
def test_a_pod_that_does_not_start_is_an_error_that_says_why(
    status: dict, message: str, volume: Path
) -> None:
    access = FakeAccess.of(volume, training_job(COMPLETE), [server_pod(ENDED)])
    access.starting = [status]
    job = read_job(access, "digits")
    with (
        pytest.raises(ClusterError, match=message),
        reading(access, job, Volume("c", "/var/lib/pslgs"), pause=lambda _seconds: None),
    ):
        pytest.fail("the pod did not start")
    assert access.deleted == ["/api/v1/namespaces/lab/pods/digits-reader-z"]


def test_the_pod_is_deleted_whatever_happens(volume: Path) -> None:
    access = FakeAccess.of(volume, training_job(COMPLETE), [server_pod(ENDED)])
    with (
        pytest.raises(KeyboardInterrupt),
        run_files(access, read_job(access, "digits")),
    ):
        raise KeyboardInterrupt
    assert len(access.deleted) == 1


def test_a_transfer_that_breaks_is_tried_again(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(volume, training_job(), [server_pod()])
    transfers = 0

    def break_first_and_third(command: Sequence[str]) -> None:
        nonlocal transfers
        transfers += command[0] == "dd"
        if command[0] == "dd" and transfers in {1, 3}:
            raise ClusterError.at("", "the connection broke")

    access.before_command = break_first_and_third
    assert copied(access, tmp_path).read_bytes() == (volume / "digits" / "model.safetensors").read_bytes()


def test_a_connection_that_always_breaks_leaves_no_file(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(volume, training_job(), [server_pod()])

    def break_transfers(command: Sequence[str]) -> None:
        if command[0] == "dd":
            raise ClusterError.at("", "the connection broke")

    access.before_command = break_transfers
    with pytest.raises(ClusterError, match="broke"):
        copied(access, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["volume"]


def test_a_file_that_is_replaced_meanwhile_is_not_mixed(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(volume, training_job(), [server_pod()])
    model = volume / "digits" / "model.safetensors"

    def replace_after_first_part(command: Sequence[str]) -> None:
        if "skip=16" in command:
            other = model.with_suffix(".new")
            other.write_bytes(bytes(model.stat().st_size))
            other.replace(model)

    access.before_command = replace_after_first_part
    with pytest.raises(InputError, match="was replaced while it was copied"):
        copied(access, tmp_path)


def test_what_is_appended_meanwhile_is_left_out(volume: Path, tmp_path: Path) -> None:
    access = FakeAccess.of(volume, training_job(), [server_pod()])
    journal = volume / "digits" / "metrics.jsonl"
    before = journal.read_bytes()

    def append(command: Sequence[str]) -> None:
        if command[0] == "dd":
            with journal.open("ab") as file:
                file.write(b'{"kind":"ste')

    access.before_command = append
    assert copied(access, tmp_path, "metrics.jsonl").read_bytes() == before
