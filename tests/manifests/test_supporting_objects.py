from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from manifests.jobs import NOW, UID, body, clients, job, partition
from pslgs.spec import job_digest, load_job
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.certificate_authority import advanced
from pslgs_operator.certificates import certificate_secret
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.server import server_job
from pslgs_operator.manifests.supporting import (
    config_map,
    pod_monitor,
    service,
    supporting_objects,
    volume_claim,
)
from pslgs_operator.placement import Placement
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

SETTINGS = Settings(pod_monitors=True, pod_monitor_labels={"release": "x"})
STORED = job(checkpoint={"storage": {"size": "5Gi", "storageClassName": "fast"}})


@pytest.mark.parametrize("which", supporting_objects(STORED, SETTINGS), ids=lambda which: which[0])
def test_each_is_called_as_it_is_planned_and_belongs_to_the_job(which):
    made = supporting_objects(STORED, SETTINGS)[which](STORED, SETTINGS)
    metadata = made["metadata"]
    assert (made["kind"], metadata["name"]) == which
    assert metadata["namespace"] == "lab"
    assert metadata["labels"][names.JOB_LABEL] == "digits"
    assert metadata["annotations"][names.SPEC_ANNOTATION] == STORED.spec_digest
    (owner,) = metadata["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (UID, True, True)
    assert "finalizers" not in metadata


class TestTheManifestForTheContainers:
    wanted = job(
        data=partition(2),
        faultTolerance={"minAvailableClients": "50%"},
        suspend=False,
        activeDeadlineSeconds=5,
        checkpoint={"keep": 3, "storage": {"size": "1Gi"}},
        server={"gpus": 1, "template": {"spec": {"tolerations": []}}},
        clients=clients(
            template={"spec": {"containers": [{"name": "client", "env": [{"name": "SECRET", "value": "x"}]}]}}
        ),
    )
    text = config_map(wanted, SETTINGS)["data"]["job.yaml"]

    def test_is_read_by_them_as_the_same_job(self, tmp_path):
        file = tmp_path / "job.yaml"
        file.write_text(self.text)
        read = load_job(file)
        assert job_digest(read.spec) == job_digest(self.wanted.spec)
        assert read.metadata.name == "digits"
        assert read.metadata.namespace == "lab"
        assert read.spec.fault_tolerance == self.wanted.spec.fault_tolerance

    @pytest.mark.parametrize(
        "word",
        ["template", "SECRET", "tolerations", "activeDeadlineSeconds", "nodeSelector"],
    )
    def test_leaves_out_what_is_no_concern_of_theirs(self, word):
        assert word not in self.text

    def test_has_only_the_fields_that_they_are_made_for(self):
        spec = yaml.safe_load(self.text)["spec"]
        assert set(spec) == {"checkpoint", "data", "epochs", "faultTolerance", "model", "server"}
        assert spec["server"] == {"gpus": 1}
        assert spec["checkpoint"] == {"keep": 3}

    def test_has_fields_of_a_newer_definition_unless_they_are_the_operators(self):
        newer = body(optimizer={"new": 1}, clients=clients(new=2), brandNew=[3])
        text = config_map(TrainingJob.parse(newer), SETTINGS)["data"]["job.yaml"]
        spec = yaml.safe_load(text)["spec"]
        assert (spec["optimizer"], spec["brandNew"], "clients" in spec) == ({"new": 1}, [3], False)


class TestTheService:
    def test_has_no_address_of_its_own_within_the_cluster(self):
        spec = service(job(), SETTINGS)["spec"]
        assert spec["clusterIP"] == "None"
        assert spec["publishNotReadyAddresses"] is True
        assert spec["selector"] == names.selector("digits", "server")

    @pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
    def test_can_be_reached_from_outside_with_the_users_annotations(self, kind):
        annotations = {"example.com/internal": "true"}
        wanted = job(server={"service": {"type": kind, "address": "h", "annotations": annotations}})
        made = service(wanted, SETTINGS)
        assert made["spec"]["type"] == kind
        assert "clusterIP" not in made["spec"]
        assert made["metadata"]["annotations"] == {
            "example.com/internal": "true",
            names.SPEC_ANNOTATION: wanted.spec_digest,
        }

    def test_leaves_metrics_within(self):
        assert [port["port"] for port in service(job(), SETTINGS)["spec"]["ports"]] == [names.GRPC_PORT]


def test_the_claim_is_what_the_user_asks_for():
    assert volume_claim(STORED, SETTINGS)["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }


def test_the_default_class_is_the_clusters():
    plain = job(checkpoint={"storage": {"size": "5Gi"}})
    assert "storageClassName" not in volume_claim(plain, SETTINGS)["spec"]


@pytest.mark.parametrize("storage", [None, {"claimName": "mine"}], ids=["none", "given"])
def test_no_claim_is_made_where_none_is_asked_for(storage):
    kinds = {
        kind
        for kind, _ in supporting_objects(job(checkpoint={"storage": storage} if storage else {}), SETTINGS)
    }
    assert "PersistentVolumeClaim" not in kinds


def test_the_monitor_selects_the_jobs_pods_and_is_selected_by_its_labels():
    made = pod_monitor(job(), SETTINGS)
    assert made["spec"]["selector"]["matchLabels"] == {names.JOB_LABEL: "digits"}
    [endpoint] = made["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    assert made["metadata"]["labels"]["release"] == "x"


def test_the_monitor_names_the_job_and_the_client_in_the_series():
    [endpoint] = pod_monitor(job(), SETTINGS)["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [
        {"sourceLabels": ["__meta_kubernetes_pod_label_pslgs_dev_job"], "targetLabel": "pslgs_dev_job"},
        {
            "sourceLabels": ["__meta_kubernetes_pod_annotation_pslgs_dev_client_id"],
            "targetLabel": "client",
        },
    ]


def test_the_monitor_has_the_fields_of_the_settings_and_relabels_after_the_operator():
    own = pod_monitor(job(), SETTINGS)["spec"]["podMetricsEndpoints"][0]
    more = {"targetLabel": "cluster", "replacement": "edge"}
    given = {"interval": "15s", "scrapeTimeout": "10s", "relabelings": [more], "metricRelabelings": [more]}
    settings = Settings(pod_monitors=True, pod_monitor_endpoint=given)
    [endpoint] = pod_monitor(job(), settings)["spec"]["podMetricsEndpoints"]
    assert endpoint == own | given | {"relabelings": [*own["relabelings"], more]}


def test_without_series_of_clients_the_monitor_selects_the_server_only():
    made = pod_monitor(job(), Settings(pod_monitors=True, client_series=0))
    assert made["spec"]["selector"]["matchLabels"] == names.selector("digits", names.SERVER)


def metadata_of_all(wanted: TrainingJob, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the metadata of every object that is made for a job with one client, and of its pods."""
    authority = advanced(None, wanted, NOW)
    placement = Placement("edge-0-0", "edge-0", None)
    children = [
        *(make(wanted, settings) for make in supporting_objects(wanted, settings).values()),
        certificate_secret(wanted, authority, IssueServer(("h",)), settings, NOW),
        certificate_secret(wanted, authority, IssueClient("edge-0-0"), settings, NOW),
        server_job(wanted, 2, settings),
        client_job(wanted, placement, Endpoint("h", 7443), settings),
    ]
    for each in children:
        yield each["metadata"]
        if each["kind"] == "Job":
            yield each["spec"]["template"]["metadata"]


LABELS = {"team": "a", "app.kubernetes.io/part-of": "vision"}


class TestMetadataOfAllChildren:
    wanted = job(
        childMetadata={"labels": LABELS, "annotations": {"example.com/budget": "17"}},
        checkpoint={"storage": {"size": "1Gi"}},
        server={"service": {"annotations": {"example.com/budget": "18"}}},
    )

    def test_is_on_every_object_and_pod(self):
        for each in metadata_of_all(self.wanted, SETTINGS):
            assert LABELS.items() <= each["labels"].items()
            assert "example.com/budget" in each["annotations"]
            assert each["labels"][names.JOB_LABEL] == "digits"

    def test_of_the_service_is_overridden_by_its_own(self):
        assert service(self.wanted, SETTINGS)["metadata"]["annotations"]["example.com/budget"] == "18"

    def test_of_pods_is_overridden_by_the_template(self):
        template = {"metadata": {"labels": {"team": "b"}}}
        wanted = job(childMetadata={"labels": {"team": "a"}}, server={"template": template})
        child = server_job(wanted, 2, SETTINGS)
        assert child["spec"]["template"]["metadata"]["labels"]["team"] == "b"
        assert child["metadata"]["labels"]["team"] == "a"

    def test_overrides_scraping_and_eviction_of_pods(self):
        given = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true", "prometheus.io/scrape": "false"}
        child = server_job(job(childMetadata={"annotations": given}), 2, Settings())
        assert given.items() <= child["spec"]["template"]["metadata"]["annotations"].items()

    def test_is_not_told_to_the_containers(self):
        assert "childMetadata" not in config_map(self.wanted, SETTINGS)["data"]["job.yaml"]
