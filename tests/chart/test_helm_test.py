"""What `helm test` runs."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chart.rendering import Renderer, only
from cluster.testcluster.helm import NAMESPACE


@pytest.fixture
def health() -> Iterator[tuple[ThreadingHTTPServer, list[int]]]:
    """An address that answers with the statuses of a list; the last one stays."""
    statuses = [200]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, statuses
        server.shutdown()


def check(
    helm: Renderer, server: ThreadingHTTPServer, patience: str = "60"
) -> "subprocess.CompletedProcess[str]":
    (container,) = only(helm.render({}), "Pod")["spec"]["containers"]
    script, address = container["args"]
    assert address == f"http://pslgs-operator.{NAMESPACE}.svc:8080/healthz"
    script = script.replace("_PATIENCE_SECONDS = 60", f"_PATIENCE_SECONDS = {patience}")
    command = [sys.executable, "-c", script, f"http://127.0.0.1:{server.server_port}/healthz"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_helm_test_waits_until_the_operator_is_well(
    health: tuple[ThreadingHTTPServer, list[int]], helm: Renderer
) -> None:
    server, statuses = health
    statuses[:] = [500, 200]
    done = check(helm, server)
    assert (done.returncode, done.stdout) == (0, "{}\n")


def test_helm_test_fails_when_the_operator_is_deaf(
    health: tuple[ThreadingHTTPServer, list[int]], helm: Renderer
) -> None:
    server, statuses = health
    statuses[:] = [500]
    done = check(helm, server, patience="0")
    assert done.returncode == 1
    assert "HTTP Error 500" in done.stderr
    assert "look at the operator's log" in done.stderr
