"""Pods as platforms run them that choose users themselves, as OpenShift does."""

import pytest

from cluster.scenarios.trainings import training, volume
from cluster.testcluster.stage import is_true

pytestmark = pytest.mark.e2e

CHOSEN = {"runAsUser": 1_000_680_000, "runAsGroup": 0, "fsGroup": 1_000_680_000}
"""What OpenShift gives pods (the constraint restricted-v2): a user whom no image knows, in the group root."""


def test_a_job_trains_as_a_user_whom_no_image_knows(own_cluster, namespace, samples):
    job = training("digits", epochs=20, evaluateEveryEpochs=20)
    for role in ("server", "clients"):
        job["spec"][role]["template"]["spec"]["securityContext"] = CHOSEN
    own_cluster.apply(namespace, job)
    own_cluster.wait_for(namespace, "stj/digits", is_true("Ready"), seconds=240)
    for pod in own_cluster.run.json("--namespace", namespace, "get", "pods")["items"]:
        assert pod["spec"]["securityContext"].items() >= CHOSEN.items()
    found = own_cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=240)
    place = found["status"]["model"]
    model = volume(own_cluster, namespace, place["claimName"]) / place["path"]
    assert model.stat().st_uid == CHOSEN["runAsUser"]
