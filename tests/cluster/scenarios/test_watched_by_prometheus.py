"""A real Prometheus finds a real job by what chart and operator make for it, and every query is answered."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from monitoring.demonstration import CHOICE
from monitoring.discovery import pods_config, pods_found, services_config, services_found, write_targets
from monitoring.examination import SCRAPE_SECONDS, Examination
from monitoring.prometheus import Prometheus, prometheus

from chart.prometheus_operator import MONITORED, definitions
from cluster.scenarios.trainings import start, training, volume
from cluster.testcluster.helm import NAMESPACE, RELEASE, helm_of
from cluster.testcluster.stage import Cluster

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[3]
OF_CLIENT = 'pslgs_client_samples_total{client="edge-1-0"}'


@pytest.fixture
def monitored(own_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that has the kinds of the Prometheus Operator, and a release that makes use of them."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed; `apt-get install prometheus` has it")
    helm, kinds = helm_of(own_cluster), definitions()
    own_cluster.run.apply(*kinds)
    own_cluster.wait_for_kinds()
    helm.change("upgrade", "--reuse-values", "--wait", "--timeout=120s", monitoring=MONITORED)
    yield own_cluster
    helm("rollback", RELEASE, "--wait", "--timeout=120s")
    own_cluster.run("delete", *(f"crd/{kind['metadata']['name']}" for kind in kinds))


@asynccontextmanager
async def watching(cluster: Cluster, namespace: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Let a Prometheus scrape what the monitors in the cluster name, and evaluate the cluster's rules."""
    kinds = {"podmonitor/digits": namespace, "servicemonitor/pslgs-operator": NAMESPACE}
    pods, services = (
        cluster.run.json("--namespace", where, "get", target) for target, where in kinds.items()
    )
    files = folder / "pods.json", folder / "services.json"
    rules = folder / "rules.yaml"
    rules.write_text(
        json.dumps(cluster.run.json("--namespace", NAMESPACE, "get", "prometheusrule/pslgs")["spec"])
    )
    configs = [pods_config(pods, files[0]), services_config(services, files[1])]
    async with prometheus(folder, configs, rules) as asked, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(keep_telling(cluster, namespace, *files))
        yield asked
        telling.cancel()


async def keep_telling(cluster: Cluster, namespace: str, pods: Path, services: Path) -> None:
    """Tell Prometheus what is in the namespaces of job and operator, as its own discovery would."""

    async def listed(where: str, kind: str) -> Any:
        found = await asyncio.to_thread(cluster.run.json, "--namespace", where, "get", kind)
        return found["items"]

    while True:
        write_targets(pods_found(await listed(namespace, "pods")), pods)
        slices = await listed(NAMESPACE, "endpointslices")
        write_targets(services_found(await listed(NAMESPACE, "services"), slices), services)
        await asyncio.sleep(SCRAPE_SECONDS)


def kill_client(cluster: Cluster, namespace: str, node: str) -> None:
    """End the client of a node at once; its Job makes another pod."""
    selector = ("--selector=pslgs.dev/role=client", f"--field-selector=spec.nodeName={node}")
    [pod] = cluster.run.json("--namespace", namespace, "get", "pods", *selector)["items"]
    cluster.kill(namespace, pod["metadata"]["name"])


async def test_every_query_is_answered_about_a_real_job(monitored, namespace, samples, tmp_path):
    job = training("digits", checkpoint_every=200, evaluateEveryEpochs=20)
    job["spec"]["data"]["evaluation"]["at"] = "Clients"
    start(monitored, namespace, job)
    async with watching(monitored, namespace, tmp_path) as asked:
        await asked.until("increase(pslgs_steps_total[15s]) > 10")
        await asked.until(OF_CLIENT)
        kill_client(monitored, namespace, "edge-1")
        await asked.until('pslgs_clients{state="lost"} == 1')
        await asked.until('pslgs_clients{state="live"} == 2')
        for told in (
            OF_CLIENT,
            "pslgs_client_evaluation_accuracy",
            "pslgs_checkpoint_timestamp_seconds",
            "pslgs:batch_deviation_above_bound:ratio30m",
        ):
            await asked.until(told)

        examined = Examination(asked, {**CHOICE, "namespace": namespace}, ROOT)
        assert await examined.unanswered() == []
        assert await examined.unfed() == []
        assert await examined.broken_rules() == []
        assert await examined.firing() <= {"PslgsClientLost"}
        journal = volume(monitored, namespace, "digits-checkpoints") / "digits" / "metrics.jsonl"
        count, wrong = await examined.deviations(journal)
        assert count > 5
        assert wrong == []

        monitored.run("--namespace", namespace, "delete", "stj/digits")
        await asked.until("absent(pslgs_steps_total)")
        await asked.until("absent(pslgs_job_phase)")
