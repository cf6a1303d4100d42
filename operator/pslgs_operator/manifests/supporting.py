"""Supporting objects of a job: manifest, Service, volume claim, network policies, monitoring."""

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from pslgs.spec import ServiceType
from pslgs.spec.compatibility import runtime_manifest
from pslgs_operator import names
from pslgs_operator.manifests.job import template_digest, with_template_digest
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.manifests.networkpolicy import client_policy, server_policy
from pslgs_operator.manifests.podmonitor import endpoint, scraped_pods
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

Build = Callable[[TrainingJob, Settings], dict[str, Any]]


def supporting_objects(job: TrainingJob, settings: Settings) -> Mapping[tuple[str, str], Build]:
    """Return what makes each fixture that the job should have, by kind and name, in order."""
    name = job.name
    wanted: dict[tuple[str, str], Build] = {
        ("ConfigMap", names.manifest_name(name)): config_map,
        ("Service", names.server_name(name)): service,
        ("NetworkPolicy", names.server_name(name)): server_policy,
        ("NetworkPolicy", names.clients_name(name)): client_policy,
    }
    storage = job.spec.checkpoint.storage
    if storage is not None and storage.size is not None:
        wanted["PersistentVolumeClaim", names.checkpoints_name(name)] = volume_claim
    if settings.pod_monitors:
        wanted["PodMonitor", name] = pod_monitor
    return wanted


def config_map(job: TrainingJob, _settings: Settings) -> dict[str, Any]:
    """Render the ConfigMap with the manifest for the containers."""
    document = runtime_manifest(job.known_fields)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(job, names.manifest_name(job.name)),
        "data": {names.MANIFEST_KEY: yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False)},
    }


def service(job: TrainingJob, _settings: Settings) -> dict[str, Any]:
    """Give the server its name; without an address of its own unless it is reached from outside."""
    wanted = job.spec.server.service
    metadata = child_metadata(job, names.server_name(job.name), names.SERVER)
    metadata["annotations"] |= wanted.annotations
    headless = {"clusterIP": "None"} if wanted.type is ServiceType.CLUSTER_IP else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": wanted.type.value,
            **headless,
            "publishNotReadyAddresses": True,
            "selector": names.selector(job.name, names.SERVER),
            "ports": [{"name": "grpc", "port": names.GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"}],
        },
    }


def volume_claim(job: TrainingJob, _settings: Settings) -> dict[str, Any]:
    """Claim the volume of checkpoints and model."""
    storage = job.spec.checkpoint.storage
    chosen = storage and storage.storage_class_name
    rendered = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": child_metadata(job, names.checkpoints_name(job.name), names.SERVER),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": storage and storage.size}},
            **({"storageClassName": chosen} if chosen else {}),
        },
    }
    return with_template_digest(rendered, template_digest(rendered))


def pod_monitor(job: TrainingJob, settings: Settings) -> dict[str, Any]:
    """Have a Prometheus of the prometheus-operator scrape the pods of the job, and name job and client."""
    metadata = child_metadata(job, job.name)
    metadata["labels"] |= settings.pod_monitor_labels or {}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": scraped_pods(job, settings)},
            "podMetricsEndpoints": [endpoint(settings)],
        },
    }
