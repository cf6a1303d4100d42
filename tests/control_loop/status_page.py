"""A server's status page, at the address of a pod that nobody runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from pslgs_operator import names

_next_number = count(2)


@dataclass(slots=True)
class StatusPage:
    """What it says can be changed; while ``status`` is empty it answers with an error."""

    ip: str
    status: dict[str, Any] = field(default_factory=dict)

    def train(self, **more: Any) -> None:
        """Say that a training goes on."""
        progress = {"epoch": 1, "epochs": 2, "step": 5, "steps": 20, "progress": 0.25, "loss": 1.5}
        self.status = {"phase": "Training", **progress, **more}


@contextmanager
def status_page() -> Iterator[StatusPage]:
    """Serve one; every page has an address of its own in 127.0.0.0/8."""
    page = StatusPage(ip=f"127.0.1.{next(_next_number)}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if page.status else 503)
            self.end_headers()
            self.wfile.write(json.dumps(page.status).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((page.ip, names.HTTP_PORT), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield page
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
