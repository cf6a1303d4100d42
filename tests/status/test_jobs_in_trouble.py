"""What is said of a job that needs a person, or a machine that is away."""

from dataclasses import replace
from datetime import timedelta

import pytest

from manifests.jobs import NOW, partition
from pslgs_operator.snapshot import ChildJobState, ChildPod, Rejection, Snapshot
from pslgs_operator.status.types import ConditionStatus, ConditionType, Phase
from pslgs_operator.training_job import TrainingJob
from status.sights import (
    CLIENTS,
    CREATED,
    IN_TRAINING,
    LONG_AGO,
    assessed,
    client_job,
    client_pod,
    ended,
    job,
    nodes,
    pending,
    said,
    server_job,
    server_pod,
    server_reply,
    sight,
    unscheduled,
    waiting,
    with_client,
    with_server,
)

NOTHING = Snapshot(nodes=nodes())
TRAINED = job(status=IN_TRAINING)
SERVER = "spec.server.template.spec.containers[name=server]"
CLIENT = "spec.clients.template.spec.containers[name=client]"
GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 No"
QUOTA = Rejection("Job digits-server", "Forbidden", "exceeded quota: gpus")
WRONG_IMAGE = "couldn't parse image name"
HERE = client_pod("edge-1-0")
DONE_FOR = client_job("edge-1-0", state=ChildJobState.FAILED)


def lost(*names: str, phase: str = "Training", message: str = "", **changes: object) -> Snapshot:
    """The server lost these."""
    live = tuple(each for each in CLIENTS if each not in names)
    return sight(server_reply=server_reply(phase=phase, live=live, lost=names, message=message), **changes)


def degraded(seen: Snapshot, wanted: TrainingJob | None = None) -> tuple[str, str]:
    """Reason and message of the condition, which has to hold."""
    status = assessed(seen, wanted)
    found = said(status, ConditionType.DEGRADED)
    assert (found.status, status.phase) == (ConditionStatus.TRUE, Phase.DEGRADED)
    return found.reason, found.message


def test_a_server_that_did_not_answer_the_first_request_of_a_new_leader_is_no_trouble():
    asked = with_server(server_pod(), server_asked_since=NOW - timedelta(seconds=5))
    assert said(assessed(asked, TRAINED), ConditionType.DEGRADED).status is ConditionStatus.FALSE
    asked = with_server(server_pod(), server_asked_since=NOW - timedelta(seconds=30))
    assert degraded(asked, TRAINED)[0] == "ServerSilent"


@pytest.mark.parametrize(
    ("pod", "reason", "words"),
    [
        pytest.param(
            waiting(server_pod(), "ImagePullBackOff", "ghcr.io/x: not found"),
            "ImagePullBackOff",
            f"pod digits-server-a on node gpu-0 waits: ghcr.io/x: not found; check {SERVER}.image",
            id="image-missing",
        ),
        pytest.param(
            waiting(server_pod(), "InvalidImageName", WRONG_IMAGE),
            "InvalidImageName",
            f"correct {SERVER}.image",
            id="image-name-wrong",
        ),
        pytest.param(
            waiting(server_pod(), "CreateContainerConfigError", 'secret "s3" not found'),
            "CreateContainerConfigError",
            'secret "s3" not found',
            id="secret-missing",
        ),
        pytest.param(
            waiting(server_pod(), "SomethingNew", ""),
            "SomethingNew",
            "waits: SomethingNew",
            id="a-reason-of-tomorrow",
        ),
        pytest.param(
            unscheduled(server_pod(), GPU),
            "Unschedulable",
            "no node for pod digits-server-a: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu; "
            "lower spec.server.gpus, correct spec.server.gpuResource, or free or add a node with "
            "nvidia.com/gpu",
            id="no-gpu",
        ),
        pytest.param(
            unscheduled(server_pod(), "0/2 nodes are available: 2 Insufficient amd.com/gpu. preemption: 0/2"),
            "Unschedulable",
            "free or add a node with amd.com/gpu",
            id="no-gpu-of-another-maker",
        ),
        pytest.param(
            unscheduled(server_pod(), "3 Insufficient memory."),
            "Unschedulable",
            f"3 Insufficient memory; lower {SERVER}.resources.requests.memory",
            id="no-memory",
        ),
        pytest.param(
            unscheduled(server_pod(), 'persistentvolumeclaim "models" not found'),
            "Unschedulable",
            "spec.checkpoint.storage",
            id="no-claim",
        ),
        pytest.param(
            unscheduled(server_pod(), "pod has unbound immediate PersistentVolumeClaims"),
            "Unschedulable",
            "spec.checkpoint.storage",
            id="no-volume-comes",
        ),
        pytest.param(
            unscheduled(server_pod(), "1 node(s) had untolerated taint {gpu: true}"),
            "Unschedulable",
            "spec.server.template.spec.tolerations",
            id="a-taint",
        ),
        pytest.param(
            ended(server_pod(), 137, "OOMKilled"),
            "OOMKilled",
            "pod digits-server-a on node gpu-0 ran out of memory (OOMKilled); raise "
            f"{SERVER}.resources.limits.memory",
            id="out-of-memory",
        ),
        pytest.param(
            ended(server_pod(), 1, words="RuntimeError: CUDA error"),
            "ServerCrashed",
            "failed with exit code 1: RuntimeError: CUDA error; it is tried again",
            id="a-crash",
        ),
        pytest.param(
            ended(server_pod(), None, "UnexpectedAdmissionError", "no healthy devices present"),
            "UnexpectedAdmissionError",
            "no healthy devices present",
            id="a-broken-gpu",
        ),
        pytest.param(
            ended(server_pod(), None, words="container fetch failed with exit code 4"),
            "ServerCrashed",
            "pod digits-server-a on node gpu-0 failed: container fetch failed",
            id="an-init-container-fails",
        ),
        pytest.param(server_pod(), "ServerSilent", "does not answer", id="it-never-answered"),
    ],
)
def test_a_server_that_does_not_come_up_says_why_and_what_to_do(
    pod: ChildPod, reason: str, words: str
) -> None:
    found, message = degraded(with_server(pod))
    assert found == reason
    assert words in message


@pytest.mark.parametrize(
    ("pods", "reason", "words"),
    [
        pytest.param(
            [waiting(HERE, "ImagePullBackOff", "unauthorized")],
            "ImagePullBackOff",
            f"on node edge-1 waits: unauthorized; check {CLIENT}.image",
            id="image-missing",
        ),
        pytest.param(
            [ended(HERE, 137, "OOMKilled"), client_pod("edge-1-0", 2)],
            "OOMKilled",
            f"raise {CLIENT}.resources.limits.memory",
            id="out-of-memory-and-tried-again",
        ),
        pytest.param(
            [ended(HERE, 6, words="no answer from digits-server:7443")],
            "ServerUnreachable",
            "no answer from digits-server:7443; where nodes cannot reach pods of others, set "
            "spec.server.service.type",
            id="cannot-reach-the-server",
        ),
        pytest.param(
            [unscheduled(HERE, "1 node(s) were unschedulable")],
            "Unschedulable",
            "kubectl uncordon",
            id="a-cordoned-node",
        ),
        pytest.param(
            [unscheduled(HERE, "1 Insufficient cpu")],
            "Unschedulable",
            f"lower {CLIENT}.resources.requests.cpu",
            id="no-cpu",
        ),
    ],
)
def test_a_client_that_does_not_come_says_why_and_what_to_do(
    pods: list[ChildPod], reason: str, words: str
) -> None:
    found, message = degraded(with_client("edge-1-0", *pods))
    assert found == reason
    assert words in message


@pytest.mark.parametrize(
    ("seen", "wanted", "reason", "words"),
    [
        pytest.param(
            Snapshot(),
            job(),
            "NoMatchingNodes",
            "kubectl label node NAME pslgs.dev/edge=true",
            id="no-matching-node",
        ),
        pytest.param(
            NOTHING,
            job(data=partition(16)),
            "PartitionMismatch",
            "spec.data.partition.clients is 16",
            id="too-few-nodes",
        ),
    ],
)
def test_a_job_that_cannot_be_placed_is_neither_ready_nor_well(
    seen: Snapshot, wanted: TrainingJob, reason: str, words: str
) -> None:
    found, message = degraded(seen, wanted)
    assert found == said(assessed(seen, wanted), ConditionType.READY).reason == reason
    assert words in message


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        pytest.param(
            replace(NOTHING, rejections=(QUOTA,)),
            "RefusedByCluster",
            "the cluster refuses Job digits-server: exceeded quota: gpus",
            id="a-child-is-refused",
        ),
        pytest.param(
            with_server(server=server_job(message="exceeded quota: gpus")),
            "RefusedByCluster",
            "Kubernetes creates no pod for Job digits-server: exceeded quota: gpus; raise the quota",
            id="its-pod-is-refused",
        ),
        pytest.param(
            sight(server_reply=server_reply(age=31)),
            "ServerSilent",
            "pod digits-server-a on node gpu-0 runs, but does not answer",
            id="the-server-is-silent",
        ),
        pytest.param(
            sight(server_reply=server_reply(age=11), nodes=nodes("gpu-0")),
            "ServerSilent",
            "node gpu-0 is not ready, and the server's pod digits-server-a on it does not answer",
            id="the-server-is-silent-and-its-node-not-ready",
        ),
        pytest.param(
            with_server(server_pod(deleting=True), nodes=nodes("gpu-0")),
            "ServerSilent",
            "kubectl delete node gpu-0",
            id="the-server's-node-is-dead",
        ),
        pytest.param(
            lost("edge-1-0", nodes=nodes("edge-1")),
            "ClientLost",
            "node edge-1 is not ready; its client edge-1-0 is lost; the training goes on with 2 of 3 clients",
            id="a-node-is-lost",
        ),
        pytest.param(
            lost(
                *CLIENTS,
                phase="Waiting",
                message="0 of at least 2",
                nodes=nodes("edge-0", "edge-1", "edge-2"),
            ),
            "ClientLost",
            "nodes edge-0, edge-1 and edge-2 are not ready; their clients edge-0-0, edge-1-0 and edge-2-0 "
            "are lost; the training waits: 0 of at least 2",
            id="all-nodes-are-lost",
        ),
        pytest.param(
            with_client("edge-1-0", pending(HERE), nodes=nodes("edge-1")),
            "NodeNotReady",
            "node edge-1 is not ready; its client edge-1-0 is not there; the training goes on with 2 of 3",
            id="a-node-was-never-there",
        ),
        pytest.param(
            lost("edge-1-0"),
            "ClientLost",
            "client edge-1-0 is lost; the training goes on",
            id="a-client-is-lost",
        ),
        pytest.param(
            lost("edge-2-0", nodes=nodes(edges=("edge-0", "edge-1"))),
            "ClientLost",
            "client edge-2-0 is lost: no node for it has the labels of spec.clients.nodeSelector any more",
            id="a-node-is-gone",
        ),
        pytest.param(
            sight(server_reply=server_reply(message="the checkpoint could not be written: disk full")),
            "ServerWarning",
            "the server says: the checkpoint could not be written: disk full",
            id="the-server-warns",
        ),
    ],
)
def test_a_training_in_trouble_says_what_is_wrong(seen: Snapshot, reason: str, words: str) -> None:
    found, message = degraded(seen, TRAINED)
    assert found == reason
    assert words in message


def test_a_server_that_answers_is_believed_though_its_node_is_called_not_ready() -> None:
    assert assessed(sight(server_reply=server_reply(age=9), nodes=nodes("gpu-0"))).phase is Phase.RUNNING


def test_a_client_that_failed_for_good_is_named_with_its_words_and_the_way_out() -> None:
    pod = ended(HERE, 2, words="/data is missing")
    seen = with_client("edge-1-0", pod, clients={**sight().clients, "edge-1-0": DONE_FOR})
    assert degraded(seen) == (
        "ClientFailed",
        "client edge-1-0 on node edge-1 failed and is not tried again: pod digits-client-edge-1-0-1 on node "
        "edge-1 failed with exit code 2: /data is missing; when that is mended: kubectl delete job "
        "digits-client-edge-1-0",
    )


def test_a_client_that_failed_before_the_spec_was_changed_is_made_anew_and_no_trouble() -> None:
    outdated = replace(DONE_FOR, spec_digest="another")
    jobs = {**sight().clients, "edge-1-0": outdated}
    seen = with_client("edge-1-0", clients=jobs, server_reply=server_reply(phase="Waiting", step=0, live=()))
    assert assessed(seen).phase is Phase.PENDING
    assert degraded(seen, TRAINED)[0] == "ClientFailed"


def test_containers_may_take_minutes_but_not_forever() -> None:
    job_of_old = server_job(created=LONG_AGO)
    young = with_server(pending(server_pod(created=CREATED)), server=job_of_old)
    assert assessed(young).phase is Phase.PENDING
    old = with_server(pending(server_pod(created=LONG_AGO)), server=job_of_old)
    assert degraded(old)[0] == "ContainersNotStarted"


def test_the_most_important_trouble_comes_first_and_the_others_are_counted() -> None:
    seen = with_client(
        "edge-1-0",
        waiting(HERE, "ImagePullBackOff", "unauthorized"),
        rejections=(QUOTA,),
        nodes=nodes("edge-2"),
        server_reply=server_reply(live=("edge-0-0",)),
    )
    reason, message = degraded(seen)
    assert reason == "RefusedByCluster"
    assert message.endswith("; and 2 more")


def test_a_failure_is_told_until_the_client_takes_part_again() -> None:
    seen = with_client("edge-1-0", ended(HERE, 1, words="boom"), client_pod("edge-1-0", 2))
    assert degraded(seen)[0] == "ClientCrashed"
    assert assessed(replace(seen, server_reply=server_reply())).phase is Phase.RUNNING


def test_a_container_that_ended_knowingly_is_left_to_its_job_to_judge() -> None:
    seen = with_client("edge-1-0", ended(HERE, 2, words="/data is missing"))
    assert assessed(seen).phase is Phase.RUNNING


def test_a_failure_is_kept_while_the_next_server_pod_comes_up() -> None:
    seen = with_server(ended(server_pod(), 1, words="boom"), server_pod("digits-server-b", 9, started=NOW))
    assert degraded(seen)[0] == "ServerCrashed"
    assert said(assessed(seen), ConditionType.READY).reason == "ServerRestarting"
