"""What the cluster shows of one job: frozen values, read from the API's objects once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from pslgs_operator.workload import QueueFacts, Workload


@dataclass(frozen=True, slots=True)
class Node:
    """A node that the job's clients may run on, or its server runs on.

    Attributes:
        ready_since: Time at which the node last became ready; None if it is not ready.
    """

    name: str
    labels: Mapping[str, str]
    ready: bool
    unschedulable: bool = False
    ready_since: datetime | None = None


class ChildJobState(StrEnum):
    """How far a child Job is."""

    ACTIVE = "Active"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class ChildJob:
    """The server's Job, or that of a client.

    Attributes:
        uid: Of the Job.
        client: The client's id; None for the server.
        node: The node that a client is pinned to; None for the server.
        share: The client's number in a partition, if there is one.
        spec_digest: Digest of the spec that it was made from.
        failures: Pods of it that failed and counted against its backoff limit.
        reason: Why it failed, in the words of batch/v1 (BackoffLimitExceeded, PodFailurePolicy …).
        message: The same in a sentence; of one that is active, why no pod is made for it.
        deleting: Whether it is on its way out; nothing may be decided from its state then.
        ended: When it became Complete or Failed.
        started: Time at which Kubernetes began to create its pods, after it was created or resumed last.
        template_digest: Digest of what was rendered (`names.TEMPLATE_ANNOTATION`).
        suspended: Whether ``spec.suspend`` of the batch/v1 Job is true, for example because Kueue has not
            admitted it; no pods are created for it.
    """

    name: str
    uid: str
    client: str | None
    node: str | None
    share: int | None
    spec_digest: str
    state: ChildJobState
    created: datetime
    failures: int = 0
    reason: str = ""
    message: str = ""
    deleting: bool = False
    ended: datetime | None = None
    started: datetime | None = None
    template_digest: str = ""
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class CertificateSecret:
    """The Secret of a certificate and its private key, as its metadata describe it.

    Attributes:
        client: The client's id; None for the server and the authority.
        hosts: The hosts of a server's certificate, with commas between them.
        authority: Digest of the authority that issued it; of an authority, its own.
        renew_after: When it has to be renewed; None if that is not known.
        complete: Whether all keys are there and have the values that the operator wrote.
    """

    name: str
    uid: str
    client: str | None
    hosts: str
    authority: str
    renew_after: datetime | None
    complete: bool


class PodPhase(StrEnum):
    """The phase of a pod; see `ChildPod.phase`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason of a pod that doesn't run: why its container waits, or why it has no node."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TerminationMessage:
    """What a container left behind in its termination message.

    Attributes:
        report: The server's final status, as `/status` would return it; None if it had none.
    """

    exit_code: int | None
    message: str
    report: "ServerReport | None" = None


@dataclass(frozen=True, slots=True)
class ChildPod:
    """A pod of the job.

    Attributes:
        job: Name of the child Job that it belongs to.
        client: The client's id; None for the server.
        phase: Succeeded or Failed as soon as the container of its role has ended, although other containers
            may still run and Kubernetes calls the pod Running; otherwise Kubernetes' phase.
        scheduled: Time at which it was assigned to its node.
        started: When its container began to run.
        waiting: Why a container waits (ImagePullBackOff, CrashLoopBackOff, CreateContainerConfigError …);
            None while it is just being made.
        unscheduled: Why it has no node.
        finished: Time at which its container ended.
        running_on: Names of other containers, such as sidecars, that run although its container has ended.
        exit_code: Of its container, once that has ended.
        end_reason: Why its container ended, in Kubernetes' words (Completed, Error, OOMKilled …), or why the
            node refused or ended the whole pod (Evicted, UnexpectedAdmissionError …).
        termination_message: The container's termination message, read.
        disruption: Why the cluster ended it, which counts against no limit (EvictionByEvictionAPI,
            DeletionByTaintManager …).
        owner: The uid of the object that controls it, of the child Job; empty if none does.
    """

    name: str
    job: str
    client: str | None
    created: datetime
    phase: PodPhase
    node: str | None = None
    ip: str | None = None
    ready: bool = False
    scheduled: datetime | None = None
    started: datetime | None = None
    waiting: Problem | None = None
    unscheduled: Problem | None = None
    finished: datetime | None = None
    running_on: tuple[str, ...] = ()
    exit_code: int | None = None
    end_reason: str = ""
    termination_message: TerminationMessage | None = None
    disruption: str = ""
    deleting: bool = False
    uid: str = ""
    owner: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether all of its containers have ended, so that it holds nothing of its node."""
        return self.phase in {PodPhase.SUCCEEDED, PodPhase.FAILED} and not self.running_on


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A report of a server about itself (`pslgs.telemetry.status`); figures it doesn't know are None.

    Attributes:
        phase: Starting, Waiting, Training, Evaluating, Finished, Interrupted or Failed.
        live: Names of clients that take part.
        lost: Names of clients that were lost and did not come back.
        live_count: Their number in last words, which hold no names; None where names are known.
        lost_count: Likewise.
        checkpoint_time: Unix time in seconds.
        message: What a user should know now, or do something about.
        notice: Information that holds for the whole run and is not a problem.
        metric: Metric by which models are compared; empty without evaluations, and from older images.
        stopped_early: Whether the training has finished before its last epoch, by early stopping.
        job_uid: The uid of the SplitTrainingJob whose server it is; empty from older images.
    """

    phase: str
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    progress: float = 0.0
    eta_seconds: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    metric: str = ""
    metric_value: float | None = None
    best_value: float | None = None
    best_epoch: int | None = None
    deviation: float | None = None
    deviation_expected: float | None = None
    deviation_bound: float | None = None
    samples_per_second: float | None = None
    live: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    live_count: int | None = None
    lost_count: int | None = None
    checkpoint_step: int | None = None
    checkpoint_time: float | None = None
    message: str = ""
    notice: str = ""
    job_uid: str = ""
    exit_code: int | None = None
    stopped_early: bool = False


@dataclass(frozen=True, slots=True)
class ServerReply:
    """The last answer of the server's `/status`, and when it came."""

    report: ServerReport
    heard: datetime


@dataclass(frozen=True, slots=True)
class Rejection:
    """A write of a child that failed, with the API server's last answer.

    Attributes:
        temporary: Whether the same request may succeed later, without a change by anybody.
        retry_after: How long the API server asked to wait.
    """

    child: str
    reason: str
    message: str
    temporary: bool = False
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SupportingChild:
    """A Service, ConfigMap, NetworkPolicy, claim or PodMonitor of the job.

    Attributes:
        content: Its labels, annotations, owners, spec and data, to be compared with what is rendered.
        settled: Whether it is as the API server admitted what was rendered last, although it differs: a
            webhook changed it, and would do so again.
        deleting: Whether it is being deleted.
    """

    uid: str
    content: Mapping[str, Any] = field(default_factory=dict)
    settled: bool = False
    deleting: bool = False


class Leftover(NamedTuple):
    """An object that an earlier job of the same name left without an owner."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is known of a job beside its own object.

    Attributes:
        nodes: All nodes of the cluster that match ``spec.clients.nodeSelector``, and the server's.
        last_server_pod: The last pod of the server that is gone and had left last words.
        supporting: The supporting objects of the job, by kind and name.
        certificates: The job's own Secrets by name, with certificates of the server and the clients.
        authority: The Secret of its certificate authority, in the operator's namespace.
        leftovers: What an earlier job of the same name left without an owner.
        earlier_pods: Pods of earlier jobs of the same name that have not ended.
        departing: Kind and name of each child of an earlier job of the same name that Kubernetes is deleting.
        unowned: Names of the job's child Jobs whose owner reference was removed.
        service_address: What a LoadBalancer was given; None before that, and for other types.
        node_port: The gRPC port on the nodes, if the Service has one.
        server_reply: None before the first answer.
        server_asked_since: When this process first asked the server's pod; None before that.
        rejections: What could not be made when this job was reconciled last.
        without_pod_since: Name of each active child Job that has no pod -> time at which the operator first
            saw it so.
        last_pod_creation: When the newest pod of any job was created.
        workload: The job's Workload, by which Kueue admits it.
        queue: What was read beside the Workload.
    """

    nodes: tuple[Node, ...] = ()
    server: ChildJob | None = None
    clients: Mapping[str, ChildJob] = field(default_factory=dict)
    pods: tuple[ChildPod, ...] = ()
    last_server_pod: ChildPod | None = None
    supporting: Mapping[tuple[str, str], SupportingChild] = field(default_factory=dict)
    certificates: Mapping[str, CertificateSecret] = field(default_factory=dict)
    authority: CertificateSecret | None = None
    service_address: str | None = None
    node_port: int | None = None
    server_reply: ServerReply | None = None
    server_asked_since: datetime | None = None
    rejections: tuple[Rejection, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    earlier_pods: tuple[ChildPod, ...] = ()
    departing: tuple[str, ...] = ()
    unowned: tuple[str, ...] = ()
    without_pod_since: Mapping[str, datetime] = field(default_factory=dict)
    last_pod_creation: datetime | None = None
    workload: Workload | None = None
    queue: QueueFacts = field(default_factory=QueueFacts)

    @property
    def jobs(self) -> tuple[ChildJob, ...]:
        """All child Jobs, the server's first."""
        return (*((self.server,) if self.server else ()), *self.clients.values())
