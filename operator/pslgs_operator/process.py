"""The life of the operator's process."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from pslgs_operator.api.asking import StatusPages
from pslgs_operator.api.connecting import connect
from pslgs_operator.api.discovery import require_training_jobs
from pslgs_operator.auditing import DeafError
from pslgs_operator.controller import Controller
from pslgs_operator.metrics import serve_metrics
from pslgs_operator.settings import Settings


@dataclass(slots=True)
class Process:
    """What is open while the operator runs."""

    settings: Settings
    instance: str
    _controller: Controller | None = None
    _work: asyncio.Task[None] | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def controller(self) -> Controller:
        """The controller, between `start` and `stop`."""
        if self._controller is None:
            raise RuntimeError("the operator has not started")
        return self._controller

    async def start(self) -> None:
        """Connect and begin to work.

        Raises:
            NotInstalledError: the API server doesn't know SplitTrainingJobs.
            UnavailableError: it doesn't answer.
            ApiError: it says no.
        """
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(await connect())
            await require_training_jobs(client)
            pages = StatusPages.open()
            opened.push_async_callback(pages.close)
            self._controller = Controller(client, pages, self.settings, self.instance)
            server = await serve_metrics(self._controller.metrics, self.settings.metrics_port)
            opened.push_async_callback(server.cleanup)
            self._work = asyncio.create_task(self._controller.run(), name="controller")
            self._open = opened.pop_all()

    async def stop(self) -> None:
        """End the work and close what is open."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._open.aclose()

    def check(self) -> None:
        """Do nothing while all is well.

        Raises:
            DeafError: what happens in the cluster is not heard or not acted upon any more.
        """
        if self._work is None or self._work.cancelled():
            raise DeafError("the operator doesn't work")
        if self._work.done():
            raise DeafError("the operator has stopped working") from self._work.exception()
        self.controller.check_hearing()
