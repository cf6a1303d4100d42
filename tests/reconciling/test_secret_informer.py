"""The list and the watch of Secrets: where a watch begins again, and what is skipped."""

from datetime import UTC, datetime, timedelta

import pytest

from pslgs_operator import names, secret_informer
from pslgs_operator.api.errors import ApiError
from pslgs_operator.gvk import SECRETS
from pslgs_operator.kube_client import RetryableError
from pslgs_operator.secret_informer import SecretInformer, _Source
from pslgs_operator.settings import Settings
from pslgs_operator.store import ObjectKey, Stores


class DoneError(Exception):
    """The end of a script."""


def secret(name, version, namespace="lab"):
    labels = {names.JOB_LABEL: "digits"}
    metadata = {"name": name, "namespace": namespace, "uid": name, "labels": labels}
    return {"metadata": {**metadata, "resourceVersion": str(version)}}


class Script:
    """An API server whose lists and watches are given, one after the other."""

    def __init__(self, monkeypatch, lists=(), watches=(), namespaces=("lab",), gone=()):
        self.lists, self.watches, self.begun, self.pauses = list(lists), list(watches), [], []
        self.now, self.gone = datetime(2026, 1, 1, tzinfo=UTC), set(gone)
        monkeypatch.setattr(secret_informer, "request", self.request)
        monkeypatch.setattr(secret_informer, "_events", self.events)
        monkeypatch.setattr(secret_informer.asyncio, "sleep", self.sleep)
        self.affected = []
        self.informer = SecretInformer(
            client=None,
            stores=Stores(),
            settings=Settings(watch_namespaces=namespaces),
            concerns=self.affected.extend,
            serves=lambda namespace: namespace not in self.gone,
            now=lambda: self.now,
        )

    async def request(self, *_, **__):
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        version, *items = answer
        return {"metadata": {"resourceVersion": version}, "items": items}

    async def events(self, _client, _path, query):
        self.begun.append(query["resourceVersion"])
        if not self.watches:
            raise DoneError
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)
        if len(self.pauses) > 5:
            raise DoneError

    async def follow(self, namespace="lab"):
        with pytest.raises(DoneError):
            await self.informer._follow(_Source(SECRETS, namespace))
        return {key.name for key in self.informer.stores.secrets.all()}


GONE = {"type": "ERROR", "object": {"code": 410, "metadata": {}}}


def event(kind, name, version):
    return {"type": kind, "object": secret(name, version)}


async def test_a_watch_that_ends_goes_on_where_it_was(monkeypatch):
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    script = Script(monkeypatch, [("5", secret("a", 3))], [[event("ADDED", "b", 6)], [bookmark]])
    assert await script.follow() == {"a", "b"}
    assert (script.begun, script.lists) == (["5", "6", "9"], [])


async def test_after_an_expired_version_everything_is_listed_anew_and_what_is_gone_is_forgotten(monkeypatch):
    script = Script(monkeypatch, [("5", secret("a", 3), secret("b", 4)), ("12", secret("b", 4))], [[GONE]])
    assert await script.follow() == {"b"}
    assert script.begun == ["5", "12"]
    assert {key.name for key in script.affected} == {"digits"}


async def test_a_secret_that_is_newer_than_a_list_stays(monkeypatch):
    script = Script(monkeypatch, [("5",), ("12",)], [[event("ADDED", "new", 15), GONE]])
    assert await script.follow() == {"new"}


async def test_a_deleted_secret_is_forgotten(monkeypatch):
    script = Script(monkeypatch, [("5", secret("a", 3))], [[event("DELETED", "a", 6)]])
    assert await script.follow() == set()


async def test_a_watch_whose_connection_is_lost_goes_on_after_a_pause(monkeypatch):
    script = Script(monkeypatch, [("5",)], [[RetryableError("reset")]])
    await script.follow()
    assert (script.begun, script.pauses) == (["5", "5"], [5])


async def test_a_missing_right_delays_the_start_of_nothing_else(monkeypatch):
    refused = ApiError.parse(403, {"reason": "Forbidden", "message": "no"})
    script = Script(monkeypatch, [refused, ("5",)])
    script.informer._waiting = {_Source(SECRETS, "lab")}
    await script.follow()
    assert script.pauses == [60]
    assert script.informer.listed.is_set()


async def test_a_namespace_that_does_not_exist_is_not_asked_for_and_its_secrets_are_forgotten(monkeypatch):
    script = Script(monkeypatch, gone={"lab"})
    script.informer._waiting = {_Source(SECRETS, "lab")}
    script.informer.stores.secrets.put(secret("a", 3))
    script.informer.stores.secrets.put(secret("b", 3, "other"))
    assert await script.follow() == {"b"}
    assert script.begun == []
    assert script.informer.listed.is_set()
    assert ObjectKey("other", "b") in script.informer.stores.secrets.all()


async def test_the_age_of_a_watch_counts_from_what_arrived_last(monkeypatch):
    script = Script(monkeypatch, [("5",)], namespaces=("lab", "gone"), gone={"gone"})
    script.now += timedelta(seconds=100)
    assert script.informer.ages() == {name: timedelta(seconds=100) for name in ("authorities", "secrets")}
    await script.follow()
    assert script.informer.ages()["secrets"] == timedelta(0)
    assert script.informer.ages()["authorities"] == timedelta(seconds=100)


async def test_events_are_read_whatever_their_length_and_however_they_are_cut():
    whole = b"a" * 300_000 + b"\nb\n" + b"c" * 10

    class Content:
        async def iter_any(self):
            for start in range(0, len(whole), 70_000):
                yield whole[start : start + 70_000]

    assert [len(line) async for line in secret_informer._lines(Content())] == [300_000, 1]
