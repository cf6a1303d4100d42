"""A Prometheus of our own, on the loopback interface."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from pslgs.launch.local_run import free_port

PROGRAM: Final = "prometheus"
_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.2


class StartError(Exception):
    """Prometheus did not start."""


class QueryError(Exception):
    """Prometheus refused a query; the message is its own."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """What can be asked of one that runs."""

    session: aiohttp.ClientSession
    address: str

    async def now(self, expression: str, time: float | None = None) -> list[dict[str, Any]]:
        """Return the series of an instant query; of a range vector all its samples."""
        at = {} if time is None else {"time": repr(time)}
        answer = await self._ask("query", {"query": expression, **at})
        return _series(answer)

    async def over(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a range query; times are Unix times in seconds."""
        bounds = {"start": repr(start), "end": repr(end), "step": repr(step)}
        return _series(await self._ask("query_range", {"query": expression, **bounds}))

    async def until(self, expression: str, seconds: float = 240) -> None:
        """Wait until a query has an answer.

        Raises:
            TimeoutError: it has none within ``seconds``; the text is the query.
        """
        try:
            async with asyncio.timeout(seconds):
                while not await self.now(expression):
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"no answer within {seconds:.0f} s: {expression}") from None

    async def rules(self) -> list[dict[str, Any]]:
        """Return all rules with their state."""
        answer = await self._ask("rules", {})
        return [rule for group in answer["groups"] for rule in group["rules"]]

    async def _ask(self, what: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        async with self.session.get(f"{self.address}/api/v1/{what}", params=parameters) as answer:
            reply: dict[str, Any] = await answer.json()
        if reply["status"] != "success":
            raise QueryError(reply["error"])
        data: dict[str, Any] = reply["data"]
        return data


def _series(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    series: list[dict[str, Any]] = data["result"]
    return series


@asynccontextmanager
async def prometheus(
    folder: Path, scrape_configs: Sequence[Mapping[str, Any]], rules: Path
) -> AsyncIterator[Prometheus]:
    """Run one that scrapes and evaluates every second; its data are below ``folder``.

    Raises:
        FileNotFoundError: it is not installed.
        StartError: it ended; the text is its log.
        TimeoutError: it did not get ready.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise FileNotFoundError(f"{PROGRAM} is not installed; `apt-get install prometheus` has it")
    every_second = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": every_second, "rule_files": [str(rules)], "scrape_configs": list(scrape_configs)}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(_READY_SECONDS) as limit:
            while not await _is_ready(session, f"http://{address}"):
                if process.returncode is not None:
                    raise StartError((folder / "prometheus.log").read_text())
                await asyncio.sleep(_POLL_SECONDS)
            limit.reschedule(None)
            yield Prometheus(session, f"http://{address}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _is_ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
