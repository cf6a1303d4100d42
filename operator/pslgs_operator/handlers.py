"""The handlers that kopf calls: wiring only.

Of kopf's handlers only those are used that leave no trace in the cluster: events and indices, which need
neither annotations nor finalizers.
"""

import os
import socket

import kopf

from pslgs_operator.api.config import login
from pslgs_operator.gvk import Resource
from pslgs_operator.informer import tune, watched
from pslgs_operator.manager import Manager
from pslgs_operator.settings import Settings

SETTINGS = Settings.from_environ({"PSLGS_INSTANCE": socket.gethostname()} | os.environ)
MANAGER = Manager(SETTINGS)

kopf.on.login()(login)


@kopf.on.startup(backoff=5)
async def start(settings: kopf.OperatorSettings, **_: object) -> None:
    """Start the operator."""
    tune(settings, watched(SETTINGS))
    await MANAGER.start()


@kopf.on.cleanup()
async def stop(**_: object) -> None:
    """Stop the operator."""
    await MANAGER.stop()


def attach(resource: Resource) -> None:
    """Watch a kind of objects."""
    where = (resource.group, resource.version, resource.plural)

    @kopf.index(*where, id=f"existing-{resource.plural}")
    async def exists(body: kopf.Body, **_: object) -> None:
        """Store every object before the first reconcile."""
        MANAGER.controller.exists(resource, body)

    @kopf.on.event(*where, id=f"events-of-{resource.plural}")
    async def happened(event: kopf.RawEvent, **_: object) -> None:
        """Handle a change of an object."""
        MANAGER.controller.happened(resource, event["type"], event["object"])


for each in watched(SETTINGS):
    attach(each)
