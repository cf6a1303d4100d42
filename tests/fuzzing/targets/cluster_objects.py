"""What the operator reads: objects of the API, a server's status, last words of containers, its settings."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fuzzing.engine import Target
from fuzzing.mutators import mutate_bytes, mutate_json, one_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_GUARANTEED = {"name": "digits", "namespace": "lab", "uid": "1", "generation": 1, "resourceVersion": "7"}


def _object(data: bytes) -> dict[str, Any]:
    """Return an object with what every object of the API has, such as a name, and labels of text."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = {}
    body = document if isinstance(document, dict) else {"spec": document, "status": document}
    metadata = body.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    for part in ("labels", "annotations"):
        if part in metadata:
            texts = metadata[part] if isinstance(metadata[part], dict) else {}
            metadata[part] = {key: value for key, value in texts.items() if isinstance(value, str)}
    return {**body, "metadata": {**metadata, **_GUARANTEED}}


def _reader(
    read: Callable[[Mapping[str, Any]], object], seeds: Sequence[Mapping[str, Any]], inputs: int = 2500
) -> Target:
    def decode(data: bytes) -> None:
        hash(str(read(_object(data))))

    encoded = [json.dumps(each).encode() for each in seeds]
    return Target(decode=decode, seeds=encoded, mutate=mutate_json, inputs=inputs)


def status_page(_folder: Path) -> Target:
    """The answer of a server's /status."""
    from pslgs_operator.parse.server_status import read_report

    def decode(data: bytes) -> None:
        report = read_report(data)
        if report is not None:
            assert report.message.isprintable()
            assert report.step >= 0
            assert 0 <= report.progress <= 1
            assert all(len(name.encode()) <= 320 for name in (*report.live, *report.lost))
            json.dumps(str(report)).encode()

    return Target(
        decode=decode, seeds=[_page()], mutate=one_of(mutate_json, mutate_json, mutate_bytes), inputs=4000
    )


def shown_status_page(_folder: Path) -> Target:
    """The answer of a server's /status, as ``pslgs status`` shows it."""
    import io

    from rich.console import Console

    from pslgs.cluster.progress import read_page
    from pslgs.launch.progress import display, figures, position

    def decode(data: bytes) -> None:
        page = read_page(data)
        if page is not None:
            console = Console(file=io.StringIO(), width=60)
            console.print(display(page))
            assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]
            told = " ".join((position(page), *figures(page), page["message"]))
            assert told.replace("\N{NO-BREAK SPACE}", " ").isprintable()

    return Target(
        decode=decode, seeds=[_page()], mutate=one_of(mutate_json, mutate_json, mutate_bytes), inputs=1500
    )


def _page() -> bytes:
    from pslgs.telemetry.status import SavedCheckpoint, Status, Throughput

    status = Status(
        *(0.0, 3, 2),
        step=5,
        steps=10,
        loss=0.5,
        accuracy=0.9,
        metric="accuracy",
        metric_value=0.9,
        best_value=0.95,
        best_epoch=1,
        clients={"live": ("a", "b"), "lost": ("c",)},
        last_checkpoint=SavedCheckpoint(5, 1.5),
        throughput=Throughput(((1.0, 8), (2.0, 8))),
        message="it trains",
        job_uid="1",
    )
    return json.dumps(status.to_json()).encode()


def last_words(_folder: Path) -> Target:
    """Termination messages, and the ends of logs in their place."""
    from pslgs.process.termination_message import ExitStatus, TerminationMessage
    from pslgs.spec.exit_codes import ExitCode
    from pslgs_operator.parse.server_status import read_last_words

    def decode(data: bytes) -> None:
        found = read_last_words(data.decode(errors="replace"), data[0] if data and data[0] < 100 else None)
        assert len(found.message.encode()) <= 300
        assert found.message.isprintable()

    ours = TerminationMessage(ExitStatus(ExitCode.BAD_INPUT, "spec.data.train.path: lacks a file")).encode()
    trace = b'Traceback (most recent call last):\n  File "a.py", line 1\nMemoryError: no memory\n\n'
    mutate = one_of(mutate_json, mutate_bytes)
    return Target(decode=decode, seeds=[ours, trace], mutate=mutate, inputs=4000)


def pod(_folder: Path) -> Target:
    """Pods of child Jobs."""
    from pslgs_operator.parse.pods import read_pod
    from status import kubernetes

    status = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
        "podIP": "10.0.0.1",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:00:01Z"},
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"},
        ],
        "initContainerStatuses": [kubernetes.terminated(1, "Error", "no route", name="copy")],
        "containerStatuses": [
            kubernetes.terminated(75, "Completed", '{"exitCode": 75, "message": "stopped"}')
        ],
    }
    waits = {
        "containerStatuses": [kubernetes.waiting("ErrImagePull", "rpc error"), kubernetes.running("side")]
    }
    return _reader(
        read_pod,
        [
            kubernetes.pod(status),
            kubernetes.pod(waits, role="client"),
            kubernetes.pod(kubernetes.unscheduled("0/3 nodes are available")),
            kubernetes.pod({"phase": "Running", "containerStatuses": [kubernetes.running()]}),
        ],
    )


def child_job(_folder: Path) -> Target:
    """Child Jobs."""
    from pslgs_operator.parse.jobs import read_job
    from status import kubernetes

    condition = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "lastTransitionTime": kubernetes.CREATED,
    }
    return _reader(
        read_job,
        [
            kubernetes.child_job({"failed": 2, "startTime": kubernetes.CREATED, "conditions": [condition]}),
            kubernetes.child_job({}, "server"),
        ],
    )


def node(_folder: Path) -> Target:
    """Nodes."""
    from pslgs_operator.parse.nodes import read_node
    from status import kubernetes

    return _reader(read_node, [kubernetes.node(), kubernetes.node(ready="Unknown", unschedulable=True)])


def pod_warnings(_folder: Path) -> Target:
    """Events of the type Warning."""
    from pslgs_operator.parse.pod_warnings import read_pod_warnings

    event = {
        "involvedObject": {"kind": "Pod", "name": "a"},
        "reason": "FailedMount",
        "message": 'MountVolume.SetUp failed for volume "digits" : /srv is not a directory',
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    later = event | {
        "lastTimestamp": None,
        "eventTime": "2026-01-01T00:09:00.123456Z",
        "reason": "FailedCreate",
    }

    def read(body: Mapping[str, Any]) -> object:
        listed = body.get("items")
        return read_pod_warnings(
            [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        )

    return _reader(read, [{"items": [event, later]}, {"items": [later]}])


def certificate_secret(_folder: Path) -> Target:
    """Metadata of the Secrets of certificates."""
    from pslgs_operator import names
    from pslgs_operator.parse.secrets import read_certificate_secret

    annotations = {
        names.CLIENT_ANNOTATION: "edge-0-0",
        names.HOSTS_ANNOTATION: "digits-server,10.0.0.1",
        names.AUTHORITY_ANNOTATION: "0123456789abcdef",
        names.RENEW_ANNOTATION: "2026-06-01T00:00:00Z",
    }
    managed = [
        {
            "manager": names.FIELD_MANAGER,
            "fieldsV1": {"f:data": {"f:tls.crt": {}, "f:tls.key": {}, "f:ca.crt": {}}},
        },
        {"manager": "kubectl", "fieldsV1": {"f:data": {}}},
    ]
    return _reader(
        read_certificate_secret, [{"metadata": {"annotations": annotations, "managedFields": managed}}]
    )


def workload(_folder: Path) -> Target:
    """Workloads and flavors of Kueue."""
    from pslgs_operator.parse.workloads import read_flavor, read_workload

    assignment = {"name": "clients", "count": 2, "flavors": {"cpu": "sites"}}
    update = {
        "name": "clients",
        "labels": {"a": "b"},
        "nodeSelector": {"tier": "edge"},
        "tolerations": [{"key": "x"}],
    }
    body = {
        "metadata": {"annotations": {"pslgs.dev/demand": "0123"}},
        "spec": {"podSets": [{"name": "server", "count": 1}, {"name": "clients", "count": 2}], "priority": 5},
        "status": {
            "conditions": [{"type": "Admitted", "status": "True"}],
            "admission": {"podSetAssignments": [assignment]},
            "admissionChecks": [{"name": "c", "state": "Ready", "podSetUpdates": [update]}],
            "accumulatedPastExecutionTimeSeconds": 12,
        },
    }
    flavor = {"spec": {"nodeLabels": {"pool": "gpu"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}}
    return _reader(lambda each: (read_workload(each), read_flavor(each)), [body, flavor])


def supporting_object(_folder: Path) -> Target:
    """Services, ConfigMaps, claims, policies, and how they differ from what is rendered."""
    from pslgs_operator.drift import changed_fields, merge_patch
    from pslgs_operator.ownership import being_collected, name_taken, ownership
    from pslgs_operator.parse.supporting import supporting_reader

    owner = {"kind": "SplitTrainingJob", "name": "digits", "uid": "1", "controller": True}
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            **_GUARANTEED,
            "ownerReferences": [owner],
            "labels": {"pslgs.dev/job-uid": "1"},
            "annotations": {"pslgs.dev/template-keys": "labels/a annotations/b"},
        },
        "spec": {"ports": [{"port": 7443, "nodePort": 30001}], "selector": {"a": "b"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
    }
    config = {"kind": "ConfigMap", "metadata": {"labels": {"a": "b"}}, "data": {"job.json": "{}"}}

    def read(body: Mapping[str, Any]) -> object:
        patch = merge_patch(service, body)
        said = being_collected(body), name_taken(body, service), ownership(body, service)
        return supporting_reader("Service")(body), tuple(changed_fields(patch)), said

    return _reader(read, [service, config])


def lease(_folder: Path) -> Target:
    """Leases."""
    from pslgs_operator.lease import REPLICA, Candidate, LeaseRecord

    candidate = Candidate("me", REPLICA)
    spec = {
        "holderIdentity": "other",
        "leaseDurationSeconds": 12,
        "leaseTransitions": 3,
        "renewTime": "2026-01-02T03:00:00.000000Z",
    }

    def read(body: Mapping[str, Any]) -> object:
        seen = replace(candidate, record=LeaseRecord.parse(body), seen=0.0)
        return (
            seen.manifest("lab", "lease", NOW),
            seen.released(),
            seen.record.duration + 1 if seen.record else None,
        )

    return _reader(read, [{"spec": spec}, {"spec": {"holderIdentity": ""}}])


def authority_secret(_folder: Path) -> Target:
    """The Secret of a job's authority."""
    from manifests.jobs import job
    from pslgs_operator.certificate_authority import advanced, authority_secret, read_authority

    made = advanced(None, job(), NOW)
    both = advanced(made, job(), made.renew_after + timedelta(days=1))
    third = advanced(both, job(), both.renew_after + timedelta(days=1))
    stored = [authority_secret(each, job(), "system") for each in (made, both, third)]

    def read(body: Mapping[str, Any]) -> object:
        found = read_authority(body, NOW)
        if found is None:
            return None
        return found.bundle, found.digest, found.current.expires_at, advanced(found, job(), NOW)

    def mutate(rng, data: bytes, other: bytes) -> bytes:
        """Damage what is encoded, too."""
        body = _object(data)
        contents = body.get("data")
        if not isinstance(contents, dict) or not contents or rng.random() < 0.3:
            return mutate_json(rng, data, other)
        key = rng.choice([*contents])
        try:
            pem = base64.b64decode(contents[key])
            head, _, rest = pem.partition(b"-----\n")
            inner, end, tail = rest.partition(b"-----END")
            der = base64.b64decode(inner)
        except (ValueError, TypeError):
            return mutate_json(rng, data, other)
        changed = mutate_bytes(rng, der, der)
        pem = head + b"-----\n" + base64.encodebytes(changed) + end + tail
        contents[key] = base64.b64encode(pem).decode()
        return json.dumps(body).encode()

    return replace(_reader(read, stored, 1000), mutate=mutate)


def training_job(_folder: Path) -> Target:
    """SplitTrainingJobs, with their status."""
    from manifests import jobs
    from pslgs.spec.errors import InputError
    from pslgs_operator.status.types import JobStatus
    from pslgs_operator.training_job import TrainingJob

    status = _some_status()
    queued = jobs.body(data=jobs.partition(2), clients={"replicas": 2}, server={"gpus": 1})
    queued["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "edge"}
    bodies = [{**jobs.body(), "status": status}, {**queued, "status": status}]

    def read(body: Mapping[str, Any]) -> object:
        JobStatus.parse(body["status"] if isinstance(body.get("status"), dict) else {}).to_json()
        whole = body if isinstance(body.get("status"), dict) else {**body, "status": {}}
        # The API server replaces what is no Unicode.
        job = TrainingJob.parse(json.loads(json.dumps(whole, ensure_ascii=False).encode(errors="replace")))
        return job.spec_digest, job.manifest

    return replace(_reader(read, bodies, 400), errors=(InputError,))


def _some_status() -> Mapping[str, Any]:
    from pslgs_operator.status.types import Condition, ConditionType, JobStatus

    condition = Condition(
        type=ConditionType.READY,
        status="True",
        reason="Training",
        message="it trains",
        observed_generation=1,
        last_transition_time=NOW,
    )
    return JobStatus(conditions={ConditionType.READY: condition}).to_json()


def settings(_folder: Path) -> Target:
    """The environment variables of the operator."""
    from pslgs.spec.errors import InputError
    from pslgs_operator.settings import Settings

    environ = {
        "PSLGS_SERVER_IMAGE": "a:1",
        "PSLGS_IMAGE_PULL_SECRETS": "[a, b]",
        "PSLGS_POD_SECURITY_CONTEXT": "{runAsNonRoot: true}",
        "PSLGS_SERVER_RESOURCES": "{requests: {cpu: 1}}",
        "PSLGS_OPERATOR_LABELS": "{app: pslgs}",
        "PSLGS_POLL_INTERVAL": "5",
        "PSLGS_CLIENT_SERIES": "100",
        "PSLGS_KUEUE": "true",
        "PSLGS_LOG_LEVEL": "debug",
        "PSLGS_LEADER_SERVICE_HOST": "10.0.0.1",
    }

    def decode(data: bytes) -> None:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return
        texts = found.items() if isinstance(found, dict) else ()
        Settings.from_environ({str(key): str(value) for key, value in texts})

    seeds = [json.dumps(environ).encode()]
    return Target(decode=decode, errors=(InputError,), seeds=seeds, mutate=mutate_json, inputs=1000)


def api_answer(_folder: Path) -> Target:
    """Answers of the API server, or of a proxy in its place."""
    from pslgs_operator.api.errors import ApiError, retry_after
    from pslgs_operator.api.rest import parse_answer

    details = {"kind": "jobs", "causes": [{"reason": "NamespaceTerminating"}], "retryAfterSeconds": 3}
    status = {
        "kind": "Status",
        "reason": "Conflict",
        "message": "the object has been modified",
        "details": details,
    }
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:00 GMT"}

    def decode(data: bytes) -> None:
        answer = parse_answer(data) or {}
        found = answer.get("headers")
        texts = (
            {key: value for key, value in found.items() if isinstance(value, str)}
            if isinstance(found, dict)
            else {}
        )
        for code in (404, 409, 422, 500):
            error = ApiError.parse(code, answer, retry_after(texts, NOW))
            str(error.as_trouble()), error.meaning

    seeds = [
        json.dumps(each).encode()
        for each in (status, {**status, "headers": headers}, {"headers": {"Retry-After": "7"}})
    ]
    return Target(
        decode=decode, seeds=seeds, mutate=one_of(mutate_json, mutate_json, mutate_bytes), inputs=3000
    )


CLUSTER_OBJECTS: tuple[Callable[[Path], Target], ...] = (
    *(
        status_page,
        shown_status_page,
        last_words,
        pod,
        child_job,
        node,
        pod_warnings,
        certificate_secret,
        workload,
    ),
    *(supporting_object, lease, authority_secret, training_job, settings, api_answer),
)
