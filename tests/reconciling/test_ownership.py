"""Whose an object is that has the name of a job's child."""

import pytest

from pslgs_operator import names
from pslgs_operator.ownership import Ownership, name_taken, ownership

OURS, EARLIER, OTHER = "uid-of-the-job", "uid-of-an-earlier-job", "uid-of-something-else"


def an_object(
    owner: str | None, lineage: str | None, *, kind: str = "Job", owner_kind: str = "SplitTrainingJob",
    owner_name: str = "cifar", job: str = "cifar", **labels: str
):  # fmt: skip
    reference = {"kind": owner_kind, "name": owner_name, "uid": owner, "controller": True}
    given = names.labels(job) | ({names.JOB_UID_LABEL: lineage} if lineage else {}) | labels
    return {
        "kind": kind,
        "metadata": {
            "name": "cifar-server",
            "namespace": "lab",
            "labels": given,
            "ownerReferences": [reference] if owner else [],
        },
    }


OF_HELM = {names.MANAGED_BY_LABEL: "Helm"}
CHILD = an_object(OURS, OURS)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        pytest.param(an_object(OURS, OURS), Ownership.OWN, id="ours"),
        pytest.param(an_object(OURS, None), Ownership.OWN, id="ours, made before there was the label"),
        pytest.param(an_object(None, OURS), Ownership.OWN, id="ours without owner reference"),
        pytest.param(an_object(None, EARLIER), Ownership.ORPHAN, id="orphan of an earlier job"),
        pytest.param(an_object(None, EARLIER, kind="PersistentVolumeClaim"), Ownership.FOREIGN, id="claim"),
        pytest.param(an_object(EARLIER, EARLIER), Ownership.DEPARTING, id="being collected"),
        pytest.param(an_object(EARLIER, OURS), Ownership.DEPARTING, id="being collected, label edited"),
        pytest.param(an_object(None, None), Ownership.FOREIGN, id="labels without lineage"),
        pytest.param(an_object(None, EARLIER, job="other"), Ownership.FOREIGN, id="orphan of another name"),
        pytest.param(an_object(None, EARLIER, **OF_HELM), Ownership.FOREIGN, id="another tool's"),
        pytest.param(an_object(OTHER, OURS, owner_kind="Deployment"), Ownership.FOREIGN, id="a Deployment's"),
        pytest.param(an_object(OTHER, OTHER, owner_name="other"), Ownership.FOREIGN, id="another job's"),
        pytest.param({"kind": "Job", "metadata": {"name": "cifar-server"}}, Ownership.FOREIGN, id="bare"),
    ],
)  # fmt: skip
def test_it_is_told_by_the_uid_of_the_job(existing, expected):
    assert ownership(existing, CHILD) is expected


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        pytest.param(an_object(OTHER, None, owner_kind="CronJob"), "belongs to CronJob cifar", id="owned"),
        pytest.param(an_object(None, None), "without belonging to this SplitTrainingJob", id="not owned"),
        pytest.param(an_object(None, EARLIER), "left by an earlier SplitTrainingJob", id="earlier"),
    ],
)  # fmt: skip
def test_a_taken_name_is_reported_with_object_owner_and_remedy(existing, said):
    message = name_taken(existing, CHILD)
    assert message.startswith("Job cifar-server exists already")
    assert said in message
    assert "another name" in message
    assert "kubectl --namespace lab delete job cifar-server" in message
