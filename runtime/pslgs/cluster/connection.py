"""Access to a cluster by the ``kubernetes`` package, with the kubeconfig and contexts of kubectl."""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream
from websocket import WebSocketException

from pslgs.cluster.access import ClusterError, CommandFailedError, NotFoundError, pods_path
from pslgs.json_text import parse_json
from pslgs.spec.errors import InputError

_TIMEOUT: Final = (5.0, 30.0)
"""Seconds to connect to the API server, and to wait for each part of its answer."""
_SILENCE_SECONDS: Final = 60.0
"""Seconds after which a connection to a command that sends nothing counts as broken."""
_PAGE_SECONDS: Final = 5.0
_PAGE_BYTES: Final = 1 << 20
_STDOUT: Final = 1
_STDERR: Final = 2
_OUTCOME: Final = 3
"""Channels of a command's connection; the last one tells how it ended."""


class Connection:
    """Access to a namespace; see `pslgs.cluster.access.Access`."""

    def __init__(self, configuration: client.Configuration, namespace: str) -> None:
        self._configuration = configuration
        self._client = client.ApiClient(configuration)
        self._namespace = namespace

    def close(self) -> None:
        """Close the connections that are kept for further requests."""
        self._client.rest_client.pool_manager.clear()

    @property
    def namespace(self) -> str:
        """Name of the namespace."""
        return self._namespace

    def read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read an object or a list of objects."""
        return self._request("GET", path, query=query)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        return self._request("POST", path, body=body)

    def delete(self, path: str) -> None:
        """Delete an object at once, if it exists."""
        with suppress(NotFoundError):
            self._request("DELETE", path, query={"gracePeriodSeconds": "0"})

    def log(self, pod: str, container: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        """Yield the lines of a container's log."""
        query = {"container": container, "follow": str(follow).lower()}
        if tail is not None:
            query["tailLines"] = str(tail)
        timeout = (_TIMEOUT[0], None) if follow else _TIMEOUT
        path = f"{pods_path(self._namespace, pod)}/log"
        with _asking(f"the log of {pod}"):
            response = self._send("GET", path, query, None, timeout)
            if response.status != 200:
                raise _refused(f"GET {path}", response.status, response.response.read())
            yield from _lines(response.response.stream(decode_content=True))

    def run(self, pod: str, container: str, command: Sequence[str]) -> bytes:
        """Run a command in a container, and return what it writes on stdout."""
        with (
            _asking(f"the connection to {pod}"),
            self._command(pod, container, command) as connected,
        ):
            output = _received(connected)
        exit_code = _exit_code(output[_OUTCOME])
        if exit_code is None:
            raise ClusterError.at(
                "", f"the connection to {pod} broke while `{' '.join(command)}` ran; try again"
            )
        if exit_code:
            raise CommandFailedError(command, exit_code, output[_STDERR].decode(errors="replace"))
        return output[_STDOUT]

    def page(self, pod: str, port: int, path: str) -> bytes | None:
        """Return an HTTP page of a pod, through a forwarded port."""
        with _asking(f"the port of {pod}"):
            api = client.CoreV1Api(client.ApiClient(self._configuration))
            forwarded = portforward(
                api.connect_get_namespaced_pod_portforward, pod, self._namespace, ports=str(port)
            )
        tunnel = forwarded.socket(port)
        try:
            return _get(tunnel, path)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            tunnel.close()

    @contextmanager
    def _command(self, pod: str, container: str, command: Sequence[str]) -> Iterator[Any]:
        """Connect to a command."""
        # The package replaces a method of the client while it connects, so this has a client of its own.
        api = client.CoreV1Api(client.ApiClient(self._configuration))
        connected = stream(
            api.connect_get_namespaced_pod_exec,
            pod,
            self._namespace,
            command=list(command),
            container=container,
            stdin=False,
            stdout=True,
            stderr=True,
            tty=False,
            binary=True,
            _preload_content=False,
        )
        try:
            yield connected
        finally:
            connected.close()
            connected.sock.shutdown()  # `close` leaves the socket open where the other side has closed first

    def _request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> dict[str, Any]:
        with _asking(path):
            response = self._send(method, path, query or {}, body, _TIMEOUT)
            content = response.response.read()
        if not 200 <= response.status <= 299:
            raise _refused(f"{method} {path}", response.status, content)
        try:
            answer = parse_json(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ClusterError.at("", f"what answers at {self._configuration.host} is no API server")
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object,
        timeout: tuple[float, float | None],
    ) -> Any:  # noqa: ANN401 - untyped there
        serialized = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json, */*", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        return self._client.call_api(*serialized, _request_timeout=timeout)


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Connection:
    """Connect as kubectl would: by a kubeconfig file and one of its contexts, or as a pod of the cluster.

    Args:
        kubeconfig: The file; None for the one that ``KUBECONFIG`` names, or ~/.kube/config.
        context: Name of the context; None for the current one.
        namespace: Name of the namespace; None for that of the context, or ``default``.

    Raises:
        InputError: there is no such file or context.
    """
    file = None if kubeconfig is None else str(kubeconfig.expanduser())
    configuration = client.Configuration()
    try:
        contexts, current = config.list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call] # theirs
        chosen = next((each for each in contexts if each["name"] == context), None) if context else current
        if chosen is None:
            known = ", ".join(each["name"] for each in contexts)
            raise InputError.at("--context", f"is '{context}', but the contexts are {known}")
        config.load_kube_config(config_file=file, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call] # theirs
    except config.ConfigException as error:
        if file is not None or context is not None or not _in_cluster(configuration):
            raise InputError.at("--kubeconfig", f"cannot be used: {_one_line(error)}") from error
        return Connection(configuration, namespace or "default")
    return Connection(configuration, namespace or chosen["context"].get("namespace") or "default")


def _in_cluster(configuration: client.Configuration) -> bool:
    """Take the credentials of a pod's service account, if there are any."""
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # theirs
    except config.ConfigException:
        return False
    return True


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn the errors of the libraries into one of ours; ``what`` is what was asked for."""
    try:
        yield
    except ApiException as error:
        raise _websocket_refused(what, error) from error
    except (urllib3.exceptions.HTTPError, WebSocketException, OSError) as error:
        raise ClusterError.at("", f"{what} cannot be had: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Return the innermost reason of an error in one line."""
    inner = getattr(error, "reason", None)
    return _reason(inner) if isinstance(inner, BaseException) else _one_line(error)


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _refused(request: str, status: int, content: bytes) -> ClusterError:
    message = _message(content.decode(errors="replace")) or f"HTTP status {status}"
    if status == 404:
        return NotFoundError.at("", message)
    if status == 401:
        message = f"{message}; log in to the cluster again"
    return ClusterError.at("", f"the API server refuses {request}: {message}")


def _websocket_refused(what: str, error: ApiException) -> ClusterError:
    """Read the refusal of a connection, which the package passes on as a text that has the answer in it."""
    text = _one_line(error.reason)
    message = _message(text[text.find("{") : text.rfind("}") + 1]) or text.partition(" -+-+- ")[0]
    return ClusterError.at("", f"{what} cannot be had: {message}")


def _message(text: str) -> str:
    try:
        document = parse_json(text)
    except ValueError:
        found = re.search(r'"message": *"((?:[^"\\]|\\.)*)"', text)
        return json.loads(f'"{found[1]}"') if found else ""
    return str(document.get("message", "")) if isinstance(document, dict) else ""


def _received(connected: Any) -> dict[int, bytes]:  # noqa: ANN401 - untyped there
    """Return what a command sends on each channel until its connection is closed.

    Raises:
        TimeoutError: nothing comes for too long.
    """
    output = {channel: bytearray() for channel in (_STDOUT, _STDERR, _OUTCOME)}
    heard = time.monotonic()
    is_open = True
    while is_open:
        connected.update(timeout=_SILENCE_SECONDS)
        is_open = connected.is_open()  # before the channels are read, which may close it and fill others
        received = {channel: connected.read_channel(channel) for channel in output}
        for channel, data in received.items():
            output[channel] += data
        heard = time.monotonic() if any(received.values()) else heard
        if time.monotonic() - heard > _SILENCE_SECONDS:
            raise TimeoutError(f"nothing came for {_SILENCE_SECONDS:.0f} s")
    return {channel: bytes(content) for channel, content in output.items()}


def _exit_code(outcome: bytes) -> int | None:
    """Return the exit code that the last message of a command's connection tells; None if it tells none."""
    try:
        document = parse_json(outcome)
    except ValueError:
        return None
    match document:
        case {"status": "Success"}:
            return 0
        case {"details": {"causes": [*causes]}}:
            codes = [each.get("message") for each in causes if each.get("reason") == "ExitCode"]
            return int(codes[0]) if codes and str(codes[0]).isdecimal() else 1
        case {"status": "Failure", "message": str(message)}:
            raise ClusterError.at("", f"the command cannot be run: {message}")
        case _:
            return None


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")


def _get(tunnel: socket.socket, path: str) -> bytes | None:
    tunnel.settimeout(_PAGE_SECONDS)
    connection = http.client.HTTPConnection("localhost", timeout=_PAGE_SECONDS)
    connection.sock = tunnel
    connection.request("GET", path, headers={"Connection": "close"})
    response = connection.getresponse()
    content = response.read(_PAGE_BYTES)
    return content if response.status == 200 else None
