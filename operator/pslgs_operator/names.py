"""The one place that makes names: labels and annotations, a job's children, paths and ports in pods."""

import hashlib
import re
from typing import Final

from pslgs.spec import child_names
from pslgs.spec.child_names import checkpoints_name, run_folder
from pslgs.spec.result_files import MODEL_FILE

__all__ = ["checkpoints_name", "run_folder"]

GROUP: Final = child_names.GROUP
VERSION: Final = child_names.VERSION
TRAINING_JOB: Final = "splittrainingjob"
PLURAL: Final = child_names.PLURAL
JOB_UID_VARIABLE: Final = "PSLGS_JOB_UID"
"""Environment variable of the pods with the uid of their SplitTrainingJob.

An image of an older version ignores an environment variable that it does not know, but refuses an unknown
argument.  So the settings that are not part of the first version's arguments are passed by variables.
"""
REQUIRED_FIELDS_VARIABLE: Final = "PSLGS_REQUIRED_FIELDS"
CLIENT_SERIES_VARIABLE: Final = "PSLGS_CLIENT_SERIES"
CLIENTS_PER_NODE_VARIABLE: Final = "PSLGS_CLIENTS_PER_NODE"
FIELD_MANAGER: Final = "pslgs-operator"

JOB_LABEL: Final = child_names.JOB_LABEL
JOB_UID_LABEL: Final = f"{GROUP}/job-uid"
"""The uid of the job that a child was created for; it distinguishes jobs of the same name."""
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
ROLE_LABEL: Final = child_names.ROLE_LABEL
CLIENT_ANNOTATION: Final = child_names.CLIENT_ANNOTATION
NODE_ANNOTATION: Final = f"{GROUP}/node"
SHARE_ANNOTATION: Final = f"{GROUP}/share"
"""A client's number in a partition, from 0; it stays the client's for as long as its Job exists."""
SPEC_ANNOTATION: Final = f"{GROUP}/spec-digest"
"""Digest of the spec that a child was made from; not of the child, which a new operator makes otherwise."""
TEMPLATE_ANNOTATION: Final = f"{GROUP}/template-digest"
"""Digest of the spec of a Job or claim as it was rendered; it follows the operator's settings and version."""
RENDERED_ANNOTATION: Final = f"{GROUP}/rendered-digest"
"""Digest of a supporting object as it was rendered."""
KEYS_ANNOTATION: Final = f"{GROUP}/rendered-keys"
"""Labels and annotations of a child that users chose; they are removed when they are no longer set."""
AUTHORITY_LABEL: Final = f"{GROUP}/certificate-authority-of"
"""Holds the uid of the job whose certificate authority a Secret in the operator's namespace is."""
JOB_NAMESPACE_ANNOTATION: Final = f"{GROUP}/job-namespace"
JOB_NAME_ANNOTATION: Final = f"{GROUP}/job-name"
EXPIRY_ANNOTATION: Final = f"{GROUP}/certificate-expires"
"""When the certificate in a Secret ends; for people."""
RENEW_ANNOTATION: Final = f"{GROUP}/certificate-renew-after"
HOSTS_ANNOTATION: Final = f"{GROUP}/certificate-hosts"
AUTHORITY_ANNOTATION: Final = f"{GROUP}/certificate-authority"
"""Digest of the authority that issued a certificate, and of those that are trusted beside it."""

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL: Final = "kueue.x-k8s.io/priority-class"
QUEUE_LABELS: Final = (QUEUE_LABEL, PRIORITY_LABEL)
"""Labels of a SplitTrainingJob that Kueue's users know from other jobs."""
EXTERNAL_FRAMEWORK: Final = f"SplitTrainingJob.{VERSION}.{GROUP}"
"""How Kueue's configuration names jobs whose Workloads another controller creates."""
WORKLOAD_JOB_LABEL: Final = "kueue.x-k8s.io/job-uid"
DEMAND_ANNOTATION: Final = f"{GROUP}/demand-digest"
"""Digest of what a Workload asks for, without the number of clients."""

SERVER: Final = child_names.SERVER
CLIENT: Final = child_names.CLIENT
"""Roles, and the names of the containers."""
SERVER_PODS: Final = "server"
CLIENT_PODS: Final = "clients"
"""Sets of pods of a Workload."""

GRPC_PORT: Final = 7443
HTTP_PORT: Final = 8080
MANIFEST_KEY: Final = "job.yaml"
MANIFEST_FOLDER: Final = "/etc/pslgs"
IDENTITY_FOLDER: Final = "/etc/pslgs/identity"
RUNS_FOLDER: Final = child_names.RUNS_FOLDER
SCRATCH_FOLDER: Final = "/tmp"  # noqa: S108 - an empty volume of the pod's own
TERMINATION_MESSAGE: Final = "/dev/termination-log"

_LONGEST_LABEL = 63
_HASH_LENGTH = 10


def labels(job: str, role: str | None = None) -> dict[str, str]:
    """Label a child of the job called ``job``; ``role`` is `SERVER` or `CLIENT`, None for what both share."""
    common = {
        JOB_LABEL: job,
        "app.kubernetes.io/name": "pslgs",
        "app.kubernetes.io/instance": job,
        MANAGED_BY_LABEL: FIELD_MANAGER,
    }
    return common | ({ROLE_LABEL: role, "app.kubernetes.io/component": role} if role else {})


def selector(job: str, role: str) -> dict[str, str]:
    """The labels by which a role's pods are found, within the job's namespace."""
    return {JOB_LABEL: job, ROLE_LABEL: role}


def server_name(job: str) -> str:
    """Name the server's Job and its Service."""
    return f"{job}-server"


def clients_name(job: str) -> str:
    """Name what all clients share."""
    return f"{job}-clients"


def manifest_name(job: str) -> str:
    """Name the ConfigMap with the manifest."""
    return f"{job}-manifest"


def workload_name(job: str) -> str:
    """Name the Workload, by which Kueue admits the job as a whole."""
    return f"{TRAINING_JOB}-{job}"


def model_path(job: str) -> str:
    """Where the trained model is in the claim."""
    return f"{job}/{MODEL_FILE}"


def authority_name(uid: str) -> str:
    """Name the Secret, in the operator's namespace, of the certificate authority of the job with this uid."""
    return f"pslgs-ca-{uid}"


def authority_labels(uid: str) -> dict[str, str]:
    """Label the Secret of a certificate authority."""
    return {
        AUTHORITY_LABEL: uid,
        "app.kubernetes.io/name": "pslgs",
        "app.kubernetes.io/component": "certificate-authority",
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
    }


def former_authority_name(job: str) -> str:
    """Name the Secret in which operators up to 0.1 kept a job's authority, in the job's own namespace."""
    return f"{job}-ca"


def server_identity_name(job: str) -> str:
    """Name the Secret of the server's certificate."""
    return f"{server_name(job)}-tls"


def client_id(node: str, number: int) -> str:
    """Name the node's client ``number``, counted from 0: in certificates, metrics and the status."""
    return f"{node}-{number}"


def client_name(job: str, client: str) -> str:
    """Name a client's Job: a DNS label, the same for the same client.

    Nodes are often called by their DNS names, with dots and up to 253 characters; where such a name has to
    be changed, a hash keeps it unique.
    """
    plain = f"{job}-client-{client}"
    if len(plain) <= _LONGEST_LABEL and re.fullmatch(r"[a-z0-9-]+", plain):
        return plain
    digest = hashlib.sha256(client.encode()).hexdigest()[:_HASH_LENGTH]
    cut = re.sub(r"[^a-z0-9-]", "-", plain)[: _LONGEST_LABEL - _HASH_LENGTH - 1].rstrip("-")
    return f"{cut}-{digest}"


def client_identity_name(job: str, client: str) -> str:
    """Name the Secret of a client's certificate."""
    return f"{client_name(job, client)}-tls"


def server_hosts(job: str, namespace: str, cluster_domain: str) -> tuple[str, ...]:
    """All names of the server's Service within the cluster; the second is the one that clients dial."""
    service = server_name(job)
    return (
        f"{service}.{namespace}.svc.{cluster_domain}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}",
        service,
    )


def is_child_name(job: str, kind: str, name: str) -> bool:
    """Return whether a job has, or may have, a child of this kind and name."""
    if kind == "Job":
        return name == server_name(job) or name.startswith(f"{job}-client-")
    if kind == "Secret":
        return name.endswith("-tls") and is_child_name(job, "Job", name.removesuffix("-tls"))
    return (kind, name) in {
        ("ConfigMap", manifest_name(job)),
        ("Service", server_name(job)),
        ("NetworkPolicy", server_name(job)),
        ("NetworkPolicy", clients_name(job)),
        ("PersistentVolumeClaim", checkpoints_name(job)),
        ("PodMonitor", job),
        ("Workload", workload_name(job)),
    }
