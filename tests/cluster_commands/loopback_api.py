"""An API server and kubelet on the loopback interface: objects, logs, commands and forwarded ports."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import WSMsgType, web

FRAME_BYTES = 64 << 10


@dataclass
class LoopbackApi:
    """What the server answers, and what it was asked.

    Attributes:
        objects: Path -> object.
        logs: Pod -> lines.
        status_page: What the pods answer at any path of their port; None for pods that refuse connections.
        outcome: What ends the connection of a command, instead of its own outcome; None to break it.
        asked: Method and path of each request.
        port: Port of the server.
    """

    objects: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    status_page: bytes | None = b""
    outcome: Mapping[str, Any] | str | None = "its own"
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    def kubeconfig(self, folder: Path, namespace: str = "") -> Path:
        """Write a kubeconfig with the contexts ``here`` and ``elsewhere``, and return its path."""
        file = folder / "kubeconfig"
        context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
        contexts = [
            {"name": "here", "context": context},
            {"name": "elsewhere", "context": context | {"cluster": "no"}},
        ]
        clusters = {"c": f"http://127.0.0.1:{self.port}", "no": "http://127.0.0.1:9"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": contexts,
            "clusters": [{"name": name, "cluster": {"server": url}} for name, url in clusters.items()],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        }
        file.write_text(yaml.safe_dump(document))
        return file

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        self.asked.append((request.method, request.path))
        if request.headers.get("Authorization") != "Bearer secret":
            return _failure(401, "Unauthorized")
        pod, _, part = request.path.partition("/pods/")[2].partition("/")
        match part:
            case "log":
                return await self._log(request, pod)
            case "exec":
                return await self._exec(request)
            case "portforward":
                return await self._forward(request)
            case _:
                return await self._object(request)

    async def _object(self, request: web.Request) -> web.Response:
        path = request.path
        if request.method == "POST":
            created = await request.json()
            if created["metadata"].get("generateName") == "refused-":
                return _failure(403, 'pods is forbidden: User "eve" cannot create')
            name = f"{created['metadata'].get('generateName', '')}0"
            created["metadata"]["name"] = name
            self.objects[f"{path}/{name}"] = created
            return web.json_response(created, status=201)
        if path not in self.objects:
            return _failure(404, f"{path} not found")
        if request.method == "DELETE":
            assert request.query == {"gracePeriodSeconds": "0"}
            return web.json_response(self.objects.pop(path))
        return web.json_response(self.objects[path])

    async def _log(self, request: web.Request, pod: str) -> web.StreamResponse:
        if pod not in self.logs:
            return _failure(400, f'container "server" in pod "{pod}" is waiting to start')
        lines = self.logs[pod][-int(request.query.get("tailLines", "1000")) :]
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write("\n".join(lines).encode())
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        """Run the command on this machine, as a kubelet does in a container."""
        if "forbidden" in request.path:
            return _failure(403, "pods forbidden: no exec")
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"))
        await socket.prepare(request)
        command = request.query.getall("command")
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        stdout, stderr = await process.communicate()
        for channel, content in ((1, stdout), (2, stderr)):
            await socket.send_bytes(bytes([channel]))  # kubelets begin with an empty message
            for start in range(0, len(content), FRAME_BYTES):
                await socket.send_bytes(bytes([channel]) + content[start : start + FRAME_BYTES])
        outcome = self.outcome if self.outcome != "its own" else _outcome(process.returncode or 0)
        if outcome is not None:
            await socket.send_bytes(b"\x03" + json.dumps(outcome).encode())
        await socket.close()
        return socket

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """Answer at the forwarded port as an HTTP server does, over channels 0 and 1."""
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"))
        await socket.prepare(request)
        port = int(request.query["ports"]).to_bytes(2, "little")
        for channel in (0, 1):
            await socket.send_bytes(bytes([channel]) + port)
        if self.status_page is None:
            await socket.send_bytes(b"\x01connection refused")
        async for message in socket:
            if message.type is WSMsgType.BINARY and self.status_page is not None:
                head = (
                    f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.status_page)}\r\nConnection: close\r\n\r\n"
                )
                await socket.send_bytes(b"\0" + head.encode() + self.status_page)
        return socket


def _outcome(code: int) -> dict[str, Any]:
    if not code:
        return {"status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


def _failure(status: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": message, "code": status}, status=status)


@contextmanager
def served(api: LoopbackApi) -> Iterator[LoopbackApi]:
    """Serve it from a thread while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(_start(api), loop).result()
        try:
            yield api
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(api: LoopbackApi) -> web.AppRunner:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.port = runner.addresses[0][1]
    return runner
