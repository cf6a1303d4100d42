from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from manifests.jobs import UID, clients, job, partition
from manifests.pod_security import offences
from pslgs.cli.main import app
from pslgs.spec.definition import DEFINING_FIELDS
from pslgs_operator import names
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.server import server_job
from pslgs_operator.placement import Placement
from pslgs_operator.settings import CLIENT_RESOURCES, POD_SECURITY_CONTEXT, SERVER_RESOURCES, Settings
from pslgs_operator.training_job import TrainingJob

SETTINGS = Settings(server_image="gpu:1", client_image="edge:1", image_pull_secrets=("pull",))
SHARED_MEMORY = "/dev/shm"  # noqa: S108
WITH_TLS = job(checkpoint={"storage": {"size": "1Gi"}}, server={"gpus": 1})
WITHOUT = job(transport={"tls": "Disabled"}, data=partition(4))


def server(wanted: TrainingJob) -> dict[str, Any]:
    return server_job(wanted, 3, SETTINGS)


def client(wanted: TrainingJob, node: str = "edge-0", share: int | None = None) -> dict[str, Any]:
    placement = Placement(f"{node}-0", node, share)
    return client_job(wanted, placement, Endpoint("host", 7443), SETTINGS)


def spec(child: Mapping[str, Any]) -> dict[str, Any]:
    return child["spec"]["template"]["spec"]


def container(child: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = spec(child)["containers"]
    return found


def variables(child: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(child)["env"] if "value" in each}


def limited(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "client", "resources": {"limits": limits}}]}}


CERTIFIED = [server(WITH_TLS), client(WITH_TLS)]
ALL = [
    pytest.param(CERTIFIED[0], id="server"),
    pytest.param(CERTIFIED[1], id="client"),
    pytest.param(server(WITHOUT), id="server-without-tls"),
    pytest.param(client(WITHOUT, share=1), id="client-without-tls"),
]


@pytest.mark.parametrize("child", ALL)
class TestEveryPod:
    def test_meets_the_restricted_standard(self, child):
        assert list(offences(spec(child))) == []

    def test_has_a_read_only_root_and_no_token(self, child):
        assert container(child)["securityContext"]["readOnlyRootFilesystem"] is True
        assert spec(child)["automountServiceAccountToken"] is False

    def test_runs_once_and_is_never_started_again_by_the_kubelet(self, child):
        assert spec(child)["restartPolicy"] == "Never"
        assert (child["spec"]["parallelism"], child["spec"]["completions"]) == (1, 1)
        assert child["spec"]["podReplacementPolicy"] == "Failed"
        assert "activeDeadlineSeconds" not in child["spec"]

    def test_is_found_by_the_labels_of_its_role(self, child):
        labels = child["spec"]["template"]["metadata"]["labels"]
        role = container(child)["name"]
        assert names.selector("digits", role).items() <= labels.items()
        assert child["metadata"]["labels"] == labels

    def test_mounts_only_volumes_that_it_has(self, child):
        mounted = {mount["name"] for mount in container(child)["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec(child)["volumes"]}

    def test_starts_with_a_command_that_takes_these_arguments(self, child, tmp_path):
        manifest = tmp_path / "job.yaml"
        manifest.write_text("")
        pslgs, command, *rest = (*container(child)["command"], *container(child)["args"])
        assert pslgs == "pslgs"
        written = [
            each.replace("$(CPU_LIMIT)", "2").replace("/etc/pslgs/job.yaml", str(manifest)) for each in rest
        ]
        parsed = get_command(app).commands[command].make_context(command, written).params
        assert parsed["job"] == manifest
        assert parsed["threads"] == 2
        assert parsed["http"] == "[::]:8080"
        assert parsed["termination_message"] == Path("/dev/termination-log")

    def test_has_no_arguments_that_an_older_image_would_refuse(self, child):
        """A new setting has to be passed by an environment variable, which older images ignore."""
        options = {each.partition("=")[0] for each in container(child)["args"] if each.startswith("--")}
        assert options <= {
            "--clients",
            "--device",
            "--http",
            "--id",
            "--identity",
            "--listen",
            "--patience",
            "--run",
            "--server",
            "--share",
            "--stay",
            "--termination-message",
            "--threads",
        }

    def test_reads_the_variables_that_are_set(self, child, tmp_path, monkeypatch):
        manifest = tmp_path / "job.yaml"
        manifest.write_text("")
        for name, value in variables(child).items():
            monkeypatch.setenv(name, value)
        command = get_command(app).commands[container(child)["name"]]
        needed = [str(manifest), "--run=/r", "--clients=3", "--id=a", "--server=h:1"]
        read = command.make_context("x", needed, resilient_parsing=True).params
        assert read["required_fields"].split() == list(DEFINING_FIELDS)
        if container(child)["name"] == names.SERVER:
            assert (read["client_series"], read["job_uid"]) == (SETTINGS.client_series, UID)

    def test_is_told_of_its_certificate_if_there_are_certificates(self, child):
        (volume,) = (each["projected"] for each in spec(child)["volumes"] if each["name"] == "job")
        secrets = [source["secret"]["name"] for source in volume["sources"] if "secret" in source]
        certified = child in CERTIFIED
        assert secrets == ([f"{child['metadata']['name']}-tls"] if certified else [])
        assert ("--identity=/etc/pslgs/identity" in container(child)["args"]) is certified

    def test_is_pulled_as_the_operator_is_told(self, child):
        assert container(child)["image"] == {"server": "gpu:1", "client": "edge:1"}[container(child)["name"]]
        assert spec(child)["imagePullSecrets"] == [{"name": "pull"}]


def rules(child: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [
        (rule["action"], rule["onExitCodes"]["values"] if "onExitCodes" in rule else "disruption")
        for rule in child["spec"]["podFailurePolicy"]["rules"]
    ]


SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"}


@pytest.mark.parametrize(
    ("settings", "of_server", "of_client"),
    [
        pytest.param(Settings(), SCRAPED, SCRAPED, id="by-annotation"),
        pytest.param(Settings(pod_monitors=True), {}, {}, id="by-pod-monitor"),
        pytest.param(Settings(client_series=0), SCRAPED, {}, id="server-only"),
    ],
)
def test_pods_ask_to_be_scraped_where_no_pod_monitor_does_it(settings, of_server, of_client):
    placement = Placement("edge-0-0", "edge-0", None)
    children = (
        server_job(WITHOUT, 3, settings),
        client_job(WITHOUT, placement, Endpoint("host", 7443), settings),
    )
    asked = [
        {
            name: value
            for name, value in child["spec"]["template"]["metadata"]["annotations"].items()
            if name.startswith("prometheus.io/")
        }
        for child in children
    ]
    assert asked == [of_server, of_client]


class TestTheServer:
    def test_is_told_how_many_clients_get_series_of_their_own(self):
        few = server_job(WITHOUT, 3, Settings(client_series=20))
        assert variables(few)["PSLGS_CLIENT_SERIES"] == "20"

    def test_is_not_tried_again_where_that_would_end_alike(self):
        assert rules(server(WITH_TLS)) == [
            ("FailJob", [2, 3, 4, 5, 8, 9, 11]),
            ("Ignore", [75]),
            ("Ignore", "disruption"),
        ]

    def test_has_as_many_retries_as_the_user_says(self):
        assert server(job(backoffLimit=1))["spec"]["backoffLimit"] == 1

    @pytest.mark.parametrize("resource", ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb"])
    def test_requests_gpus_under_the_name_that_the_job_gives(self, resource):
        child = server(job(server={"gpus": 1, "gpuResource": resource}))
        assert container(child)["resources"]["limits"] == {resource: 1}
        assert "--device=cpu" not in container(child)["args"]

    def test_has_shared_memory_for_the_exchange_between_gpus(self):
        one, several = (server(job(server={"gpus": number})) for number in (1, 4))
        assert container(several)["resources"]["limits"] == {"nvidia.com/gpu": 4}
        mounts = {each["mountPath"]: each["name"] for each in container(several)["volumeMounts"]}
        volumes = {each["name"]: each for each in spec(several)["volumes"]}
        assert volumes[mounts[SHARED_MEMORY]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
        assert SHARED_MEMORY not in {each["mountPath"] for each in container(one)["volumeMounts"]}

    def test_lets_the_template_mount_other_shared_memory(self):
        own = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}}
        child = server(job(server={"gpus": 4, "template": {"spec": {"volumes": [own]}}}))
        assert [each for each in spec(child)["volumes"] if each["name"] == "shared-memory"] == [own]

    def test_trains_on_its_cpu_without_them(self):
        assert "limits" not in container(server(job()))["resources"]
        assert "--device=cpu" in container(server(job()))["args"]

    @pytest.mark.parametrize(
        ("resources", "uses_cpu"),
        [
            pytest.param({"limits": {"xilinx.com/fpga": 1}}, False, id="a-device-plugin"),
            pytest.param({"claims": [{"name": "gpu"}]}, False, id="a-resource-claim"),
            pytest.param({"limits": {"cpu": 2, "memory": "1Gi"}}, True, id="none"),
        ],
    )
    def test_chooses_its_device_itself_if_the_template_requests_one(self, resources, uses_cpu):
        template = {"spec": {"containers": [{"name": "server", "resources": resources}]}}
        arguments = container(server(job(server={"template": template})))["args"]
        assert ("--device=cpu" in arguments) is uses_cpu

    def test_prefers_nodes_without_the_labels_of_clients_nodes(self):
        selector = {"pslgs.dev/edge": "true", "site": "a"}
        child = server(job(clients={"nodeSelector": selector}))
        assert spec(child)["affinity"]["nodeAffinity"] == {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "preference": {
                        "matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]
                    },
                }
                for key, value in selector.items()
            ]
        }

    @pytest.mark.parametrize(
        ("affinity", "preferred"),
        [
            pytest.param(None, None, id="no-affinity"),
            pytest.param(
                {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
                [],
                id="no-preference",
            ),
        ],
    )
    def test_goes_anywhere_if_the_template_says_so(self, affinity, preferred):
        child = server(job(server={"template": {"spec": {"affinity": affinity}}}))
        left = spec(child).get("affinity", {}).get("nodeAffinity", {})
        assert left.get("preferredDuringSchedulingIgnoredDuringExecution") == preferred

    def test_has_the_affinity_of_its_template_beside(self):
        required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
        merged = spec(server(job(server={"template": {"spec": {"affinity": affinity}}})))["affinity"]
        assert merged["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == required
        assert len(merged["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]) == 1

    @pytest.mark.parametrize(
        ("checkpoint", "volume"),
        [
            pytest.param({}, {"emptyDir": {}}, id="none"),
            pytest.param(
                {"storage": {"size": "1Gi"}},
                {"persistentVolumeClaim": {"claimName": "digits-checkpoints"}},
                id="new",
            ),
            pytest.param(
                {"storage": {"claimName": "x"}}, {"persistentVolumeClaim": {"claimName": "x"}}, id="given"
            ),
        ],
    )
    def test_keeps_checkpoints_where_the_user_says(self, checkpoint, volume):
        volumes = {each.pop("name"): each for each in spec(server(job(checkpoint=checkpoint)))["volumes"]}
        assert volumes["run"] == volume

    def test_is_not_evicted_by_the_autoscaler(self):
        annotations = server(WITH_TLS)["spec"]["template"]["metadata"]["annotations"]
        assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


class TestAClient:
    def test_is_tried_again_without_end_but_for_bad_input_refusal_and_bad_numbers(self):
        assert rules(client(WITH_TLS)) == [("FailJob", [2, 7, 10]), ("Ignore", "disruption")]
        assert client(WITH_TLS)["spec"]["backoffLimit"] == 2**31 - 1

    def test_runs_on_its_node_only(self):
        affinity = spec(client(WITH_TLS, "a.b"))["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a.b"]}]}

    def test_stays_on_a_node_that_is_away_for_a_while(self):
        assert {each["key"]: each["effect"] for each in spec(client(WITH_TLS))["tolerations"]} == {
            "node.kubernetes.io/not-ready": "NoExecute",
            "node.kubernetes.io/unreachable": "NoExecute",
        }

    def test_is_told_its_share_of_a_partition(self):
        assert "--share=3" in container(client(WITHOUT, share=3))["args"]
        assert not any("share" in each for each in container(client(WITH_TLS))["args"])

    @pytest.mark.parametrize(
        ("wanted", "settings", "shared"),
        [
            pytest.param(clients(perNode=8), SETTINGS, True, id="several-without-a-limit"),
            pytest.param(clients(), SETTINGS, False, id="one"),
            pytest.param(
                clients(perNode=8, template=limited({"cpu": 2})), SETTINGS, False, id="several-with-a-limit"
            ),
            pytest.param(
                clients(perNode=8, template=limited({"memory": "1Gi"})), SETTINGS, True, id="another-limit"
            ),
            pytest.param(
                clients(perNode=8),
                Settings(client_resources={"limits": {"cpu": 1}}),
                False,
                id="a-limit-by-default",
            ),
            pytest.param(
                clients(perNode=8, template=limited({"cpu": None})),
                Settings(client_resources={"limits": {"cpu": 1}}),
                True,
                id="a-limit-removed",
            ),
        ],
    )
    def test_shares_the_cores_of_its_node_unless_it_has_a_limit(self, wanted, settings, shared):
        placement = Placement("edge-0-0", "edge-0", None)
        child = client_job(job(clients=wanted), placement, Endpoint("host", 7443), settings)
        assert variables(child).get("PSLGS_CLIENTS_PER_NODE") == ("8" if shared else None)
        assert "--threads=$(CPU_LIMIT)" in container(child)["args"]

    def test_writes_down_who_it_is(self):
        annotations = client(WITHOUT, "a.b", share=3)["metadata"]["annotations"]
        assert annotations == {
            names.SPEC_ANNOTATION: WITHOUT.spec_digest,
            names.CLIENT_ANNOTATION: "a.b-0",
            names.NODE_ANNOTATION: "a.b",
            names.SHARE_ANNOTATION: "3",
        }


class TestDefaultsOfTheOperator:
    def test_let_every_pod_request_resources(self):
        assert container(server(job()))["resources"] == SERVER_RESOURCES
        assert container(client(job()))["resources"] == CLIENT_RESOURCES

    def test_do_not_contradict_what_a_template_requests_or_limits(self):
        settings = Settings(client_resources={"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 2}})
        resources = {"requests": {"cpu": 4}, "limits": {"memory": "256Mi"}}
        template = {"spec": {"containers": [{"name": "client", "resources": resources}]}}
        placement = Placement("edge-0-0", "edge-0", None)
        wanted = job(clients=clients(template=template))
        child = client_job(wanted, placement, Endpoint("host", 7443), settings)
        assert container(child)["resources"] == resources

    def test_can_be_removed_by_a_template(self):
        template = {"spec": {"containers": [{"name": "server", "resources": None}]}}
        assert "resources" not in container(server(job(server={"template": template})))

    def test_leave_user_and_group_to_a_cluster_that_chooses_them(self):
        context = {key: POD_SECURITY_CONTEXT[key] for key in ("runAsNonRoot", "seccompProfile")}
        child = server_job(WITH_TLS, 3, Settings(pod_security_context=context))
        assert spec(child)["securityContext"] == context
        assert list(offences(spec(child))) == []

    @pytest.mark.parametrize(
        ("context", "mode"),
        [
            pytest.param(POD_SECURITY_CONTEXT, 0o440, id="by-its-group"),
            pytest.param({"runAsNonRoot": True}, 0o444, id="by-whoever-the-container-runs-as"),
        ],
    )
    def test_let_the_container_read_its_identity(self, context, mode):
        child = server_job(WITH_TLS, 3, Settings(pod_security_context=context))
        (volume,) = (each["projected"] for each in spec(child)["volumes"] if each["name"] == "job")
        assert volume["defaultMode"] == mode


class TestTheUsersTemplate:
    def test_adds_data_resources_and_tolerations(self):
        template = {
            "spec": {
                "tolerations": [{"key": "edge", "operator": "Exists"}],
                "volumes": [{"name": "data", "hostPath": {"path": "/srv"}}],
                "containers": [
                    {
                        "name": "client",
                        "image": "own:1",
                        "resources": {"limits": {"cpu": "2"}},
                        "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}],
                        "env": [{"name": "A", "value": "b"}],
                    }
                ],
            }
        }
        child = client(job(clients=clients(template=template)))
        assert len(spec(child)["tolerations"]) == 3
        assert container(child)["image"] == "own:1"
        assert container(child)["resources"] == {
            "limits": {"cpu": "2"},
            "requests": {"memory": CLIENT_RESOURCES["requests"]["memory"]},
        }
        assert [mount["mountPath"] for mount in container(child)["volumeMounts"]] == [
            "/etc/pslgs",
            names.SCRATCH_FOLDER,
            "/data",
        ]
        assert [each["name"] for each in container(child)["env"]] == [
            "CPU_LIMIT",
            "PSLGS_JOB_UID",
            "PSLGS_REQUIRED_FIELDS",
            "A",
        ]
        assert list(offences(spec(child))) == ["volumes[data]: hostPath"]

    def test_cannot_take_away_what_the_operator_relies_on(self):
        elsewhere = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
        template = {
            "metadata": {"labels": {"mine": "x"}},
            "spec": {
                "restartPolicy": "OnFailure",
                "nodeName": "other",
                "affinity": {
                    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": elsewhere},
                    "podAffinity": {},
                },
            },
        }
        child, plain = client(job(clients=clients(template=template))), client(job())
        assert child["spec"]["template"]["metadata"]["labels"] == (
            plain["spec"]["template"]["metadata"]["labels"] | {"mine": "x"}
        )
        assert spec(child) == spec(plain) | {"affinity": spec(plain)["affinity"] | {"podAffinity": {}}}

    @pytest.mark.parametrize(
        "settings", [Settings(), Settings(pod_monitors=True)], ids=["scraped", "monitored"]
    )
    def test_wins_over_generated_labels_and_annotations(self, settings):
        metadata = {
            "labels": {"app.kubernetes.io/name": "mine"},
            "annotations": {
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
                "prometheus.io/scrape": "false",
            },
        }
        wanted = job(server={"template": {"metadata": metadata}})
        found = server_job(wanted, 2, settings)["spec"]["template"]["metadata"]
        assert metadata["labels"].items() <= found["labels"].items()
        assert metadata["annotations"].items() <= found["annotations"].items()

    def test_of_the_server_keeps_its_gpus_beside_other_limits(self):
        template = {"spec": {"containers": [{"name": "server", "resources": {"limits": {"memory": "8Gi"}}}]}}
        child = server(job(server={"gpus": 1, "template": template}))
        assert container(child)["resources"]["limits"] == {"nvidia.com/gpu": 1, "memory": "8Gi"}

    def test_may_leave_the_users_id_to_the_cluster(self):
        child = server(
            job(server={"template": {"spec": {"securityContext": {"runAsUser": None, "fsGroup": None}}}})
        )
        assert "runAsUser" not in spec(child)["securityContext"]
        assert spec(child)["securityContext"]["runAsNonRoot"] is True
