"""Scraping of a job's pods: PodMonitor, or annotations."""

from collections.abc import Mapping
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

METRICS_PATH: Final = "/metrics"


def _sanitised(name: str) -> str:
    """Write a label or annotation as Kubernetes discovery does: ``pslgs.dev/job`` is ``pslgs_dev_job``."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


JOB_TARGET_LABEL: Final = _sanitised(names.JOB_LABEL)
"""What the training job is called in series: ``job`` is Prometheus' word for what it scrapes.

The name is the one that the widespread mapping of all pod labels gives by default.
"""
CLIENT_TARGET_LABEL: Final = "client"

RELABELINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "sourceLabels": [f"__meta_kubernetes_pod_label_{JOB_TARGET_LABEL}"],
        "targetLabel": JOB_TARGET_LABEL,
    },
    {
        "sourceLabels": [f"__meta_kubernetes_pod_annotation_{_sanitised(names.CLIENT_ANNOTATION)}"],
        "targetLabel": CLIENT_TARGET_LABEL,
    },
)
"""Of a PodMonitor.  Where a server has no client's id, the label stays away."""


def endpoint(settings: Settings) -> dict[str, Any]:
    """Build the endpoint of a PodMonitor; relabelings of the settings are applied after the operator's."""
    given = dict(settings.pod_monitor_endpoint or {})
    relabelings = [*RELABELINGS, *given.pop("relabelings", ())]
    return {"port": "http", "path": METRICS_PATH, **given, "relabelings": relabelings}


def scraped_pods(job: TrainingJob, settings: Settings) -> dict[str, str]:
    """Select the pods that a PodMonitor has scraped."""
    return (
        names.selector(job.name, names.SERVER) if _only_the_server(settings) else {names.JOB_LABEL: job.name}
    )


def scrape_annotations(role: str, settings: Settings) -> dict[str, str]:
    """Ask a Prometheus that goes by pod annotations to scrape a pod; none where PodMonitors do it."""
    if settings.pod_monitors or (role == names.CLIENT and _only_the_server(settings)):
        return {}
    wanted = {"scrape": "true", "port": str(names.HTTP_PORT), "path": METRICS_PATH}
    return {f"prometheus.io/{word}": value for word, value in wanted.items()}


def _only_the_server(settings: Settings) -> bool:
    return settings.client_series == 0
