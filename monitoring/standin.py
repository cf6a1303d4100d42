"""An operator's metrics without a cluster, with made-up reconciles."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pslgs.launch.local_run import free_port
from pslgs_operator.controller import utc_now
from pslgs_operator.http_server import application, serve
from pslgs_operator.informer import INTERVAL, WatchHealth
from pslgs_operator.kube_client import JobKey
from pslgs_operator.metrics import Metrics
from pslgs_operator.store import Stores

_LOOK_SECONDS = 0.5


@asynccontextmanager
async def operator_stand_in(job: Mapping[str, Any]) -> AsyncIterator[int]:
    """Serve the metrics of an operator that looks after ``job``, which runs; the result is the port."""
    caches, metrics, port = Stores(), Metrics(), free_port()
    metadata = {**job["metadata"], "uid": "0", "resourceVersion": "1"}
    caches.training_jobs.put({**job, "metadata": metadata, "status": {"phase": "Running"}})
    hearings = [WatchHealth(cache, utc_now()) for cache in (caches.training_jobs, caches.pods, caches.nodes)]
    metrics.watch(caches.training_jobs, hearings, utc_now)
    runner = await serve(application(metrics.registry, lambda: None, lambda: None), [port])
    key = JobKey(metadata["namespace"], metadata["name"])
    looking = asyncio.create_task(_look(metrics, key, hearings))
    try:
        yield port
    finally:
        looking.cancel()
        await runner.cleanup()


async def _look(metrics: Metrics, key: JobKey, hearings: Sequence[WatchHealth]) -> None:
    async def nothing_to_do(_: JobKey) -> timedelta | None:
        return None

    reconcile = metrics.measured(nothing_to_do)
    while True:
        await reconcile(key)
        for hearing in hearings:
            if hearing.age(utc_now()) > INTERVAL:
                hearing.complete_at = utc_now()
        await asyncio.sleep(_LOOK_SECONDS)
