"""What kopf watches and how: bounded in time, by label, and without a trace in the cluster."""

import logging
from collections.abc import Iterable

import kopf

from pslgs_operator.resources import FIXTURES, JOBS, NODES, POD_MONITORS, PODS, TRAINING_JOBS, Resource
from pslgs_operator.settings import Settings


def watched(settings: Settings) -> tuple[Resource, ...]:
    """List the kinds of objects that are watched; PodMonitors exist in some clusters only."""
    monitors = (POD_MONITORS,) if settings.pod_monitors else ()
    return (TRAINING_JOBS, NODES, JOBS, PODS, *FIXTURES, *monitors)


def tune(settings: kopf.OperatorSettings, resources: Iterable[Resource]) -> None:
    """Set what kopf has to know; times are seconds.

    A connection that a proxy has dropped tells nothing, not even that it is gone: so a watch ends by itself
    after some minutes, and is given up when nothing comes for longer than the API server's bookmarks take.
    """
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.scanning.disabled = True  # it would need the right to read all CRDs and namespaces
    settings.posting.enabled = False
    settings.peering.standalone = True
    for chatty in ("kopf.objects", "kopf.activities.probe", "aiohttp.access"):  # of each event, of each probe
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for resource in resources:
        if resource.selector:
            where = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[where] = resource.selector
