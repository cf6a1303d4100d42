"""What is known of a job: from its server where that answers, or else from its object."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster_commands.digits_job import ENDED, FakeAccess, client_pods, server_pod, training_job
from pslgs.cluster.access import ClusterError
from pslgs.cluster.progress import FollowedStatus, read_page, written_status
from pslgs.cluster.training_job import read_job
from pslgs.launch.progress import figures, position
from pslgs.spec import InputError
from pslgs.telemetry.status import Status
from status.sights import assessed, server_reply, sight


@pytest.fixture
def access(tmp_path: Path) -> FakeAccess:
    """A job in training, with three clients."""
    return FakeAccess.of(tmp_path, training_job(), [server_pod(), *client_pods()])


def test_the_server_is_asked_while_it_runs(access: FakeAccess) -> None:
    page = Status(started=0.0, epochs=7, clients_expected=3).to_json()
    access.status_page = json.dumps(page).encode()
    assert FollowedStatus(access).look(read_job(access, "digits")) == page


@pytest.mark.parametrize(
    "page", [None, b"not json", b"[]", b'{"phase": "Training"}'], ids=["none", "text", "list", "other"]
)
def test_the_object_tells_where_the_server_does_not(page: bytes | None, access: FakeAccess) -> None:
    access.status_page = page
    job = read_job(access, "digits")
    assert FollowedStatus(access).look(job) == written_status(job)


def test_an_object_that_lags_behind_the_server_does_not_take_its_figures_back(access: FakeAccess) -> None:
    page = Status(started=0.0, epochs=7, clients_expected=3, step=10_000, epoch=6).to_json()
    access.status_page = json.dumps(page).encode()
    followed = FollowedStatus(access)
    job = read_job(access, "digits")
    followed.look(job)
    access.status_page = None
    shown = followed.look(job)
    assert (shown["step"], shown["epoch"], shown["phase"]) == (10_000, 6, job.phase)
    access.status_page = json.dumps(page | {"step": 0}).encode()
    assert followed.look(job)["step"] == 0, "a server that begins anew is believed"
    access.status_page = None
    assert followed.look(job) == written_status(job)


def test_a_server_cannot_write_control_characters_to_the_terminal() -> None:
    page = Status(started=0.0, epochs=7, clients_expected=3, message="well\x1b[2J\nerror: run rm").to_json()
    page["clients"] = {"live": [], "lost": ["edge\x1b]0;x\x07"]}
    read = read_page(json.dumps(page).encode())
    assert read is not None
    assert (read["message"], read["clients"]["lost"]) == ("well [2J error: run rm", ["edge ]0;x"])


@pytest.mark.parametrize(
    "wrong",
    [{"progress": 2}, {"step": "5"}, {"clients": ["a"]}, {"loss": "nan"}, {"metric": {"name": 1}}],
    ids=str,
)
def test_a_page_with_a_field_of_another_type_is_none(wrong: dict) -> None:
    page = Status(started=0.0, epochs=7, clients_expected=3).to_json()
    assert read_page(json.dumps(page).encode()) is not None
    assert read_page(json.dumps(page | wrong).encode()) is None


def test_the_object_tells_whoever_may_not_forward_ports(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise ClusterError.at("", "forbidden")

    monkeypatch.setattr(access, "page", refuse)
    job = read_job(access, "digits")
    assert FollowedStatus(access).look(job) == written_status(job)


def test_a_server_that_has_ended_is_not_asked(tmp_path: Path) -> None:
    access = FakeAccess.of(tmp_path, training_job(), [server_pod(ENDED)])
    access.status_page = b"{}"
    job = read_job(access, "digits")
    assert FollowedStatus(access).look(job) == written_status(job)


def test_what_the_operator_writes_is_read_as_numbers() -> None:
    reply = server_reply(metric="MacroF1", metric_value=0.9, best_value=0.95, best_epoch=1)
    document = training_job(assessed(sight(server_reply=reply)).to_json())
    job = read_job(FakeAccess.of(Path(), document, []), "digits")
    status = written_status(job)
    assert position(status) == "epoch 2/3, step 42/100"
    assert status["progress"] == pytest.approx(0.42)
    assert [each.replace("\N{NO-BREAK SPACE}", "") for each in figures(status)] == [
        "loss 0.0180",
        "accuracy 96.1%",
        "MacroF1 90.0% (best 95.0% after epoch 1)",
        "deviation 0.320",
        "samples/s 5,829",
        "clients 3/3",
    ]


def test_both_forms_of_a_status_have_the_same_fields() -> None:
    page = Status(started=0.0, epochs=7, clients_expected=3).to_json()
    job = read_job(FakeAccess.of(Path(), training_job({}), []), "digits")
    assert written_status(job).keys() <= page.keys()


def conditions(**statuses: str) -> dict[str, Any]:
    return {
        "conditions": [
            {"type": kind, "status": status, "reason": f"{kind}Reason", "message": f"about {kind}"}
            for kind, status in statuses.items()
        ]
    }


TOLD = {
    "all well": ({"Accepted": "True", "Ready": "True", "Degraded": "False"}, []),
    "refused": ({"Accepted": "False", "Ready": "Unknown"}, ["AcceptedReason: about Accepted"]),
    "in trouble": (
        {"Ready": "False", "Degraded": "True"},
        ["ReadyReason: about Ready", "DegradedReason: about Degraded"],
    ),
    "ended": ({"Ready": "False", "Failed": "True"}, ["FailedReason: about Failed"]),
}


@pytest.mark.parametrize(("statuses", "told"), TOLD.values(), ids=TOLD.keys())
def test_what_a_user_should_know_is_told(statuses: dict, told: list[str]) -> None:
    job = read_job(FakeAccess.of(Path(), training_job(conditions(**statuses)), []), "digits")
    assert list(job.told()) == told
    assert job.has_ended is ("Failed" in statuses)


def test_a_job_that_does_not_exist_is_an_error_with_the_names_of_others(access: FakeAccess) -> None:
    with pytest.raises(InputError, match="'digit' does not exist in the namespace lab, which has digits"):
        read_job(access, "digit")


def test_a_cluster_without_the_kind_is_named(access: FakeAccess) -> None:
    access.objects.clear()
    with pytest.raises(InputError, match="pslgs is not installed in this cluster"):
        read_job(access, "digits")


def test_a_folder_is_no_name_of_a_job(access: FakeAccess) -> None:
    with pytest.raises(InputError, match="is 'runs/digits', which cannot be the name of a job"):
        read_job(access, "runs/digits")


def test_the_newest_pod_is_the_servers(tmp_path: Path) -> None:
    pods = [
        server_pod(name="digits-server-b", created="2026-01-02T04:00:00Z"),
        server_pod(ENDED, name="digits-server-z", created="2026-01-02T03:00:00Z"),
    ]
    job = read_job(FakeAccess.of(tmp_path, training_job(), pods), "digits")
    assert job.server is not None
    assert job.server.name == "digits-server-b"
