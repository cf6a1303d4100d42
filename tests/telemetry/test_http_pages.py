import http.client
import json
import socket
import threading
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pslgs.telemetry.http import HttpServer
from pslgs.telemetry.metrics import JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.prometheus import ProcessRegistry
from pslgs.telemetry.status import Status

STATUS = Status(started=900.0, epochs=2, clients_expected=3, heartbeat=1000.0)


class World:
    """Sources of the pages, which a test can change."""

    def __init__(self):
        self.now = 1010.0
        self.ready = False
        self.status = STATUS
        self.registry = ProcessRegistry()
        series = JobSeries(JobLabels("job", "mlp", "0", "Global"), epochs=2, quorum=1, client_series=9)
        ServerMetrics(self.registry, series)

    def server(self, host="127.0.0.1", port=0):
        return HttpServer(
            host,
            port,
            self.registry,
            lambda: self.status,
            lambda: self.ready,
            lambda: self.now,
            heartbeat_bound=60,
        )


@pytest.fixture
def world():
    return World()


@pytest.fixture
def ask(world):
    server = world.server()
    port = server.start()

    def ask(path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response, body

    yield ask
    server.stop()


def test_status_is_json(ask, world):
    response, body = ask("/status?pretty")

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(body) == STATUS.to_json()


def test_health_follows_the_heartbeat(ask, world):
    response, body = ask("/healthz")
    assert (response.status, body) == (200, "ok\n")

    world.now = 1100.0
    response, body = ask("/healthz")
    assert response.status == 503
    assert body == "the last heartbeat is 100 s old, more than the 60 s allowed\n"

    world.status = replace(STATUS, heartbeat=1099.0)
    assert ask("/healthz")[0].status == 200


def test_readiness_follows_the_state_of_the_process(ask, world):
    assert ask("/readyz")[0].status == 503
    world.ready = True
    assert ask("/readyz")[0].status == 200


def test_metrics_have_the_requested_format(ask):
    response, body = ask("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "\npslgs_steps_total 0.0\n" in body

    response, body = ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {"pslgs_steps", "pslgs_job", "pslgs_clients"} <= {
        family.name for family in text_string_to_metric_families(body)
    }


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/status", "/nowhere"])
def test_head_returns_the_headers_of_get_without_a_body(ask, path):
    got, body = ask(path)
    headed, nothing = ask(path, "HEAD")

    assert headed.status == got.status
    assert headed.headers["Content-Type"] == got.headers["Content-Type"]
    assert nothing == ""
    if path != "/metrics":
        assert headed.headers["Content-Length"] == str(len(body))


def test_an_unknown_page_names_the_known_ones(ask):
    response, body = ask("/")

    assert response.status == 404
    assert response.headers["Content-Type"].startswith("text/plain")
    assert body == "there is no such page; try /metrics, /healthz, /readyz, /status\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/metrics", "/status", "/nowhere"])
def test_methods_other_than_get_and_head_are_refused(ask, method, path):
    response, body = ask(path, method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert body == "only GET and HEAD are allowed\n"


def test_a_request_is_answered_while_another_one_hangs(ask, world):
    asked, answer = threading.Event(), threading.Event()
    statuses = [STATUS]

    def hanging():
        asked.set()
        answer.wait(10)
        return statuses[0]

    server = HttpServer("127.0.0.1", 0, world.registry, hanging, lambda: True, lambda: 0.0)
    port = server.start()
    slow = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    slow.request("GET", "/status")
    assert asked.wait(10)

    quick = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    quick.request("GET", "/readyz")
    assert quick.getresponse().read() == b"ready\n"

    answer.set()
    assert slow.getresponse().status == 200
    slow.close()
    quick.close()
    server.stop()


def test_a_port_in_use_is_a_clear_error(world):
    server = world.server()
    port = server.start()

    with pytest.raises(OSError, match=f"cannot listen on port {port} of 127.0.0.1 .*choose another port"):
        world.server(port=port).start()

    server.stop()


def test_a_stopped_server_frees_its_port_and_can_start_again(world):
    server = world.server()
    port = server.start()
    server.stop()
    server.stop()

    again = world.server(port=port)
    assert again.start() == port
    again.stop()


def test_a_server_can_listen_on_ipv6(world):
    server = world.server(host="::1")
    try:
        port = server.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    connection = http.client.HTTPConnection("::1", port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    server.stop()


def test_without_ipv6_all_addresses_means_those_of_ipv4(world, monkeypatch):
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    server = world.server(host="::")
    connection = http.client.HTTPConnection("127.0.0.1", server.start(), timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    server.stop()


def test_neither_requests_nor_broken_connections_are_logged(ask, world, capfd):
    server = world.server()
    port = server.start()
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(b"nonsense\r\n\r\n")
        peer.recv(1000)
    ask("/healthz")
    server.stop()

    assert capfd.readouterr() == ("", "")
