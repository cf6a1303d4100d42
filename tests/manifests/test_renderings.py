"""What is kept between reconciles is as if it were parsed and rendered anew."""

import gc
from dataclasses import replace

import pytest

from manifests.jobs import body
from pslgs.spec import InputError
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.client import client_digest
from pslgs_operator.manifests.metadata import as_supporting
from pslgs_operator.manifests.server import server_digest
from pslgs_operator.manifests.supporting import supporting_objects
from pslgs_operator.renderings import rendered_client_digest, rendered_server_digest, rendered_supporting
from pslgs_operator.settings import Settings
from pslgs_operator.status.types import Clients, JobStatus
from pslgs_operator.training_job import REMEMBERED, TrainingJob

SETTINGS = Settings()
ADDRESS = Endpoint("digits-server.lab.svc", 7443)
LABELS = {"kueue.x-k8s.io/queue-name": "gpus"}


def parsed(uid="uid-0", labels=None, **spec):
    given = body(**spec)
    given["metadata"] |= {"uid": uid, "generation": 1, "resourceVersion": uid, "labels": labels or {}}
    return TrainingJob.parse(given)


def afresh(job, settings, address):
    wanted = supporting_objects(job, settings)
    return (
        {which: as_supporting(build(job, settings)) for which, build in wanted.items()},
        server_digest(job, settings),
        client_digest(job, address, settings),
    )


def kept(job, settings, address):
    return (
        rendered_supporting(job, settings),
        rendered_server_digest(job, settings),
        rendered_client_digest(job, address, settings),
    )


CHANGES = {
    "nothing": (parsed(), SETTINGS, ADDRESS),
    "its spec": (parsed(epochs=7), SETTINGS, ADDRESS),
    "its template": (parsed(server={"template": {"spec": {"priorityClassName": "high"}}}), SETTINGS, ADDRESS),
    "another job of its name": (parsed(uid="uid-1"), SETTINGS, ADDRESS),
    "its queue": (parsed(labels=LABELS), SETTINGS, ADDRESS),
    "a newer field": (replace(parsed(), unknown_fields={("spec", "later"): 1}), SETTINGS, ADDRESS),
    "the operator's settings": (parsed(), replace(SETTINGS, server_image="next"), ADDRESS),
    "the address": (parsed(), SETTINGS, Endpoint("192.0.2.1", 7443)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_kept_is_as_if_it_were_rendered_anew(change):
    kept(*CHANGES["nothing"])
    assert kept(*CHANGES[change]) == afresh(*CHANGES[change])


@pytest.mark.parametrize("change", [each for each in CHANGES if each != "nothing"])
def test_each_of_these_changes_shows(change):
    assert afresh(*CHANGES[change]) != afresh(*CHANGES["nothing"])


def test_a_job_whose_status_and_version_alone_changed_is_not_rendered_again():
    before, after = parsed(), replace(parsed(), generation=2, status=JobStatus(clients=Clients(expected=3)))
    assert rendered_supporting(after, SETTINGS) is rendered_supporting(before, SETTINGS)


def test_the_same_manifest_is_parsed_once():
    given = body()
    given["metadata"] |= {"uid": "uid-0", "generation": 1, "resourceVersion": "1"}
    first = TrainingJob.parse(given)
    later = {
        **given,
        "metadata": {**given["metadata"], "resourceVersion": "2"},
        "status": {"phase": "Pending"},
    }
    assert TrainingJob.parse(later).manifest is first.manifest


def test_a_body_that_is_changed_in_place_does_not_change_a_job_that_was_read_from_it():
    given = body(server={"template": {"spec": {"priorityClassName": "high"}}})
    given["metadata"] |= {"uid": "uid-0", "generation": 1}
    job = TrainingJob.parse(given)
    given["spec"]["server"]["template"]["spec"]["priorityClassName"] = "low"
    assert job.spec.server.template.spec == {"priorityClassName": "high"}
    assert TrainingJob.parse(given).spec.server.template.spec == {"priorityClassName": "low"}


def test_an_invalid_job_is_refused_each_time():
    given = body(epochs=0)
    given["metadata"] |= {"uid": "uid-0", "generation": 1}
    for _ in range(2):
        with pytest.raises(InputError, match="epochs"):
            TrainingJob.parse(given)


@pytest.mark.slow
def test_jobs_that_are_gone_are_not_kept_alive():
    """A job with what its children are made from takes dozens of kilobytes."""
    for number in range(REMEMBERED + 10):
        kept(parsed(uid=f"gone-{number}"), SETTINGS, ADDRESS)
    gc.collect()
    # `isinstance` would ask objects of other libraries for their class, and one of torch's warns then.
    alive = {each.uid for each in gc.get_objects() if type(each) is TrainingJob}
    assert "gone-0" not in alive
    assert sum(uid.startswith("gone-") for uid in alive) <= REMEMBERED
