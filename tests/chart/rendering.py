"""The chart as Helm renders it, for one set of values after the other."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chart.prometheus_operator import MONITORED, MONITORING
from cluster.testcluster.helm import CHART, NAMESPACE, RELEASE

KUEUE = ("kueue.x-k8s.io/v1beta2/Workload",)
"""What a cluster with Kueue knows."""

Objects = list[dict[str, Any]]

POD = "pslgs-operator-0"
"""What the operator's pod may be called."""

EVERYTHING = {
    "imageRegistry": "registry.example.com/mirror/",
    "clusterDomain": "k8s.example.com",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "mirror"}],
    "image": {"digest": f"sha256:{'0' * 64}"},
    "jobs": {
        "serverImage": {"tag": "cuda"},
        "clientImage": {"repository": "edge/runtime", "tag": "cpu"},
        "imagePullSecrets": [{"name": "mirror"}, {"name": "edge"}],
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None, "sysctls": []},
        "defaultResources": {"server": {"requests": {"cpu": 2}}, "clients": {"limits": {"cpu": 1}}},
        "certificateLifetimeDays": 3650,
        "pollIntervalSeconds": 10,
        "statusIntervalSeconds": 120,
        "silenceBoundSeconds": 60,
        "clientSeries": 50,
    },
    "kueue": {"enabled": True},
    "jsonLogs": False,
    "logLevel": "warning",
    "replicas": 2,
    "serviceAccount": {"annotations": {"a.example.com/b": "c"}},
    "networkPolicy": {"egress": {"enabled": True, "apiServerPorts": [16443]}},
    "monitoring": {
        **MONITORED,
        "namespaces": ["monitoring", "observability"],
        "podSelector": {"app": "prometheus"},
    },
    "commonLabels": {"team": "a", "app.kubernetes.io/name": "not-this"},
    "commonAnnotations": {"owner": "b"},
    "podLabels": {"pod": "c", "app.kubernetes.io/component": "not-this"},
    "podAnnotations": {"prometheus.io/scrape": "true"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
    "affinity": None,
    "priorityClassName": "system-cluster-critical",
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "deploymentAnnotations": {"deployment": "d"},
    "revisionHistoryLimit": 3,
    "terminationGracePeriodSeconds": 60,
    "dnsPolicy": "ClusterFirst",
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "startupProbe": {"failureThreshold": 300},
    "livenessProbe": {"initialDelaySeconds": 10},
    "healthPort": 8081,
    "metricsPort": 9091,
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    "extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more", "readOnly": True}],
}
VALUE_SETS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "namespaced": {"watchNamespaces": ["team-a", "team-b"]},
    "openshift": {"podSecurityContext": {"runAsUser": 1000650000, "fsGroup": 1000650000}},
    "no-rights": {"rbac": {"create": False}, "serviceAccount": {"create": False}},
    "no-cluster-rights": {
        "watchNamespaces": ["team-a"],
        "rbac": {"clusterRoles": False},
        "crds": {"enabled": False},
    },
}


@dataclass(frozen=True, slots=True)
class Renderer:
    """Helm without a cluster."""

    binary: Path

    def ask(self, *words: str, values: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run a command that renders the chart."""
        command = [str(self.binary), *words, str(CHART), "--kube-version=1.34", "--values=-"]
        return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)

    def render(self, values: Mapping[str, Any], knows: tuple[str, ...] = (*MONITORING, *KUEUE)) -> Objects:
        """Return what would be installed in a cluster that knows these APIs."""
        apis = [f"--api-versions={each}" for each in knows]
        done = self.ask("template", RELEASE, f"--namespace={NAMESPACE}", *apis, values=values)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]

    def refusal(self, values: Mapping[str, Any]) -> str:
        """Return what Helm says to values that it refuses."""
        done = self.ask("template", RELEASE, values=values)
        assert done.returncode != 0
        return done.stderr


def of_kind(objects: Objects, *kinds: str) -> Objects:
    """Those of a kind."""
    return [each for each in objects if each["kind"] in kinds]


def only(objects: Objects, kind: str) -> dict[str, Any]:
    """The one of its kind."""
    (found,) = of_kind(objects, kind)
    return found


def pods(objects: Objects) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Metadata and spec of every pod that would run."""
    for each in of_kind(objects, "Pod"):
        yield each["metadata"], each["spec"]
    for each in of_kind(objects, "Deployment"):
        yield each["spec"]["template"]["metadata"], each["spec"]["template"]["spec"]


def environment(objects: Objects) -> dict[str, str]:
    """What the operator's container is told."""
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    fields = {"metadata.namespace": NAMESPACE, "metadata.name": POD}
    return {
        each["name"]: each["value"] if "value" in each else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }
