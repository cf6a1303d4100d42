"""Replicas and releases on one API server: who works, and whose writes leave the process."""

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from cluster.testcluster.process import free_port
from pslgs_operator.api.gated import IN_FLIGHT, GatedClient
from pslgs_operator.api.rest import request
from pslgs_operator.kube_client import NotLeadingError
from pslgs_operator.leadership import Leadership, NamespaceLeases, keep_replica_lease
from pslgs_operator.lease import NAMESPACE, REPLICA

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class LeaseServer:
    """The Leases of an API server, which may be down, or refuse a namespace."""

    def __init__(self) -> None:
        self.leases: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[str] = []
        self.is_down = False
        self.hold: asyncio.Event | None = None
        self.forbidden: set[str] = set()
        self._version = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", LEASES, self.collection)
        app.router.add_route("*", LEASES + "/{name}", self.one)
        app.router.add_route("*", "/{any:.*}", self.other)
        return app

    async def collection(self, request: web.Request) -> web.Response:
        body = await request.json()
        namespace, name = request.match_info["namespace"], body["metadata"]["name"]
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if (namespace, name) in self.leases:
            return _status(409, "AlreadyExists")
        return self._store(namespace, name, body)

    async def one(self, request: web.Request) -> web.Response:
        key = request.match_info["namespace"], request.match_info["name"]
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if key not in self.leases:
            return _status(404, "NotFound")
        if request.method == "GET":
            return web.json_response(self.leases[key])
        body = await request.json()
        if body["metadata"]["resourceVersion"] != self.leases[key]["metadata"]["resourceVersion"]:
            return _status(409, "Conflict")
        return self._store(*key, body)

    async def other(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        if self.hold is not None:
            await self.hold.wait()
        return web.json_response({})

    def holder(self, namespace: str, name: str) -> str:
        return str(self.leases[namespace, name]["spec"]["holderIdentity"])

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.is_down:
            return _status(503, "ServiceUnavailable")
        return _status(403, "Forbidden") if request.match_info["namespace"] in self.forbidden else None

    def _store(self, namespace: str, name: str, body: Mapping[str, Any]) -> web.Response:
        self._version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._version)}
        self.leases[namespace, name] = {**body, "metadata": metadata}
        return web.json_response(self.leases[namespace, name])


def _status(code: int, reason: str) -> web.Response:
    return web.json_response({"reason": reason, "message": reason}, status=code)


@pytest.fixture
async def server(port):
    leases = LeaseServer()
    runner = web.AppRunner(leases.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield leases
    await runner.cleanup()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
async def client(server, port):
    async with ApiClient(Configuration(host=f"http://127.0.0.1:{port}")) as opened:
        yield opened


@pytest.fixture
def clock():
    return Clock()


def replica(client, clock, identity="pod-a", release="pslgs-system/pslgs-operator"):
    namespace, name = release.split("/")
    keeper = keep_replica_lease(client, namespace, name, identity)
    keeper.clock = clock
    return Leadership(keeper, NamespaceLeases(client, release, clock), own_namespace=namespace)


@asynccontextmanager
async def guarded(client, leadership):
    async with GatedClient(Configuration(host=client.configuration.host), leadership.gate) as opened:
        yield opened


async def test_only_the_replica_that_holds_the_lease_writes(server, client, clock):
    a, b = replica(client, clock, "pod-a"), replica(client, clock, "pod-b")
    await a.replica.attempt()
    await b.replica.attempt()
    assert (a.leads(), b.leads()) == (True, False)
    assert await a.namespaces.hold("team")
    async with guarded(client, a) as of_a, guarded(client, b) as of_b:
        await request(of_a, "PATCH", "/api/v1/namespaces/team/services/x", body={})
        with pytest.raises(NotLeadingError, match="doesn't hold Lease pslgs-system/pslgs-operator"):
            await request(of_b, "PATCH", "/api/v1/namespaces/team/services/x", body={})
        await request(of_b, "GET", "/api/v1/namespaces/team/services/x")
    assert server.requests == [
        "PATCH /api/v1/namespaces/team/services/x",
        "GET /api/v1/namespaces/team/services/x",
    ]


async def test_writes_wait_for_each_other_and_a_lease_lost_meanwhile_stops_them(server, client, clock):
    a = replica(client, clock)
    await a.replica.attempt()
    await a.namespaces.hold("team")
    server.hold = asyncio.Event()
    async with guarded(client, a) as of_a:
        path = "/api/v1/namespaces/team/services/x"
        writes = [asyncio.create_task(request(of_a, "PATCH", path, body={})) for _ in range(2 * IN_FLIGHT)]
        while len(server.requests) < IN_FLIGHT:
            await asyncio.sleep(0)
        clock.now += REPLICA.renew_deadline
        server.hold.set()
        ends = await asyncio.gather(*writes, return_exceptions=True)
    assert len(server.requests) == IN_FLIGHT
    assert sum(isinstance(end, NotLeadingError) for end in ends) == IN_FLIGHT


async def test_a_leader_that_was_paused_does_not_write_although_nobody_told_it(server, client, clock):
    a = replica(client, clock)
    await a.replica.attempt()
    await a.namespaces.hold("team")
    clock.now += REPLICA.renew_deadline
    async with guarded(client, a) as of_a:
        with pytest.raises(NotLeadingError):
            await request(of_a, "DELETE", "/apis/batch/v1/namespaces/team/jobs/x")
    assert server.requests == []


async def test_a_leader_whose_api_server_is_down_stops_and_goes_on_afterwards(server, client, clock):
    a = replica(client, clock)
    await a.replica.attempt()
    server.is_down = True
    clock.now += REPLICA.renew_deadline
    await a._look()
    assert not a.leads()
    server.is_down = False
    await a._look()
    assert a.leads()


async def test_of_two_releases_one_works_in_a_namespace_and_the_other_says_which(
    server, client, clock, caplog
):
    a, b = replica(client, clock), replica(client, clock, release="other/op")
    for each in (a, b):
        await each.replica.attempt()
    assert await a.namespaces.hold("team")
    assert not await b.namespaces.hold("team")
    assert await b.namespaces.hold("of-b")
    assert b.namespaces.foreign() == {"team": "pslgs-system/pslgs-operator"}
    assert "because the release pslgs-system/pslgs-operator holds its Lease team/" in caplog.text
    assert b.gate("of-b") is None
    assert b.gate("team") == "this release doesn't hold Lease team/splittrainingjobs.pslgs.dev"
    assert b.gate("other") is None


async def test_another_release_takes_a_namespace_over_once_its_lease_expires(server, client, clock):
    a, b = replica(client, clock), replica(client, clock, release="other/op")
    await a.namespaces.hold("team")
    taken = False
    while not taken:
        assert clock.now - 1000 <= NAMESPACE.duration + 20
        taken = await b.namespaces.hold("team")
        assert not (a.namespaces.may_write("team") and b.namespaces.may_write("team"))
        clock.now += 10


async def test_another_replica_of_the_release_goes_on_with_its_namespaces(server, client, clock):
    a, b = replica(client, clock, "pod-a"), replica(client, clock, "pod-b")
    await a.namespaces.hold("team")
    assert await b.namespaces.hold("team")
    await a.namespaces.hold("team")


async def test_leases_of_namespaces_are_renewed_when_due_and_released_without_jobs(server, client, clock):
    a = replica(client, clock)
    await a.namespaces.hold("team")
    await a.namespaces.hold("empty")
    before = server.leases["team", "splittrainingjobs.pslgs.dev"]["metadata"]["resourceVersion"]
    clock.now += NAMESPACE.renew_period - 1
    await a.namespaces.renew()
    assert server.leases["team", "splittrainingjobs.pslgs.dev"]["metadata"]["resourceVersion"] == before
    clock.now += 1
    await a.namespaces.keep_only({"team"})
    await a.namespaces.renew()
    clock.now += NAMESPACE.renew_deadline - 1
    assert a.namespaces.may_write("team")
    assert server.holder("empty", "splittrainingjobs.pslgs.dev") == ""
    assert not a.namespaces.may_write("empty")


async def test_a_namespace_whose_lease_may_not_be_written_holds_up_no_other(server, client, clock, caplog):
    server.forbidden.add("closed")
    a = replica(client, clock)
    assert not await a.namespaces.hold("closed")
    assert await a.namespaces.hold("team")
    assert "jobs in namespace closed are not reconciled until its Lease closed/" in caplog.text


async def test_work_runs_while_the_replica_leads_and_the_lease_is_released_in_the_end(server, client, clock):
    a, working = replica(client, clock), asyncio.Event()

    async def work() -> None:
        working.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(a.run(work))
    await working.wait()
    assert server.holder("pslgs-system", "pslgs-operator") == "pod-a"
    task.cancel()
    await asyncio.wait([task])
    assert server.holder("pslgs-system", "pslgs-operator") == ""
    assert not a.leads()


async def test_work_that_fails_ends_the_election(server, client, clock):
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await replica(client, clock).run(work)
    assert server.holder("pslgs-system", "pslgs-operator") == ""


def test_an_election_that_stands_still_is_not_alive(clock):
    a = replica(None, clock)
    assert a.problem() is None
    clock.now += 61
    assert "has not checked Lease pslgs-system/pslgs-operator for 61 s" in str(a.problem())
