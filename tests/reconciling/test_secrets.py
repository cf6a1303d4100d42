"""Secrets of a job are mended while it runs, and the key of its authority stays with the operator."""

from base64 import b64encode
from copy import deepcopy
from datetime import timedelta

import pytest

from pslgs_operator import names
from pslgs_operator.authority_collector import AuthorityCollector
from pslgs_operator.kube_client import JobKey, RejectedError
from pslgs_operator.settings import Settings
from reconciling.test_reconciling import KEY, Stage, manifest

OPERATOR = Settings().namespace
SERVERS = "digits-server-tls"
CLIENTS = {f"digits-client-edge-{number}-0-tls" for number in (0, 1)}
DAY = timedelta(days=1)


@pytest.fixture
async def begun():
    """A job whose children are there."""
    stage = Stage()
    stage.cluster.apply_job(manifest())
    await stage.look()
    await stage.look()
    return stage


def secrets(stage, namespace=KEY.namespace):
    return {name: each for (kind, where, name), each in stage.cluster.objects.items()
            if (kind, where) == ("Secret", namespace)}  # fmt: skip


def authority(stage):
    (found,) = secrets(stage, OPERATOR).values()
    return found


def is_whole(stage) -> bool:
    """Return whether all certificates are there and trust the authority that issued each of them."""
    found, issuer = secrets(stage), authority(stage)["data"]
    trusted = {each["data"]["ca.crt"] for each in found.values()}
    return {SERVERS, *CLIENTS} == set(found) and trusted == {issuer["ca.crt"]}


async def settles(stage) -> None:
    """Reconcile twice, and find nothing to do the second time."""
    await stage.look(1)
    before = stage.cluster.writes
    await stage.look(1)
    assert stage.cluster.writes == before


def test_only_the_operator_has_the_key_of_the_authority(begun):
    assert is_whole(begun)
    key = authority(begun)["data"]["tls.key"]
    assert key not in str(secrets(begun))
    assert f"pslgs-ca-{authority(begun)['metadata']['labels'][names.AUTHORITY_LABEL]}" in secrets(
        begun, OPERATOR
    )


@pytest.mark.parametrize("name", [SERVERS, *sorted(CLIENTS)])
async def test_a_secret_that_is_deleted_is_made_again_and_no_other_is_touched(begun, name):
    before = secrets(begun)
    begun.cluster.remove("Secret", name)
    await settles(begun)
    assert is_whole(begun)
    after = secrets(begun)
    assert {each for each in before if before[each] != after[each]} == {name}


@pytest.mark.parametrize("key", ["tls.crt", "tls.key", "ca.crt"])
async def test_a_secret_that_somebody_edits_is_issued_anew(begun, key):
    edited = deepcopy(secrets(begun)[SERVERS])
    edited["data"][key] = b64encode(b"another").decode()
    begun.cluster.keep(edited)
    await settles(begun)
    assert is_whole(begun)
    assert secrets(begun)[SERVERS]["data"][key] != edited["data"][key]


async def test_an_authority_that_is_deleted_is_made_anew_and_so_is_every_certificate(begun):
    old = authority(begun)
    jobs = deepcopy(begun.cluster.of("Job"))
    begun.cluster.remove("Secret", old["metadata"]["name"], OPERATOR)
    await settles(begun)
    assert is_whole(begun)
    assert authority(begun)["data"]["tls.crt"] != old["data"]["tls.crt"]
    assert begun.cluster.of("Job") == jobs


async def test_certificates_are_renewed_and_no_job_is_written(begun):
    jobs = deepcopy(begun.cluster.of("Job"))
    before = secrets(begun)
    begun.now += 244 * DAY
    await settles(begun)
    assert is_whole(begun)
    assert all(before[name]["data"] != each["data"] for name, each in secrets(begun).items())
    assert begun.cluster.of("Job") == jobs


async def test_an_operator_that_starts_anew_issues_nothing_anew(begun):
    before = begun.cluster.writes
    begun.stores = type(begun.stores)()
    begun.restarted()
    await begun.look(1)
    assert begun.cluster.writes == before


async def test_of_two_operators_that_create_an_authority_one_takes_that_of_the_other():
    first = Stage()
    second = Stage()
    second.cluster = first.cluster
    second.restarted()
    first.cluster.apply_job(manifest())
    read = first.cluster.authority
    raced = []

    async def overtaken(namespace, name):
        found = await read(namespace, name)
        if not raced:
            raced.append(True)
            await second.look()
        return found

    first.cluster.authority = overtaken
    await first.look()
    for stage in (first, second):
        await stage.look(1)
    assert raced
    assert len(secrets(first, OPERATOR)) == 1
    assert is_whole(first)


async def test_a_job_with_an_authority_in_its_own_namespace_gets_another_and_keeps_training(begun):
    jobs = deepcopy(begun.cluster.of("Job"))
    begun.cluster.remove("Secret", authority(begun)["metadata"]["name"], OPERATOR)
    for each in secrets(begun).values():
        for annotation in (names.AUTHORITY_ANNOTATION, names.RENEW_ANNOTATION):
            each["metadata"]["annotations"].pop(annotation, None)
        begun.cluster.keep(each)
    old = deepcopy(secrets(begun)[SERVERS])
    old["metadata"]["name"] = names.former_authority_name(KEY.name)
    begun.cluster.keep(old)
    await settles(begun)
    assert is_whole(begun)
    assert begun.cluster.of("Job") == jobs


class TestCollecting:
    def collector(self, stage, **settings):
        stage.cluster.tell(stage.stores)
        return AuthorityCollector(stage.cluster, stage.stores, Settings(**settings))

    async def test_takes_the_authority_of_a_job_that_was_deleted_while_no_operator_ran(self, begun):
        begun.cluster.remove("SplitTrainingJob", KEY.name)
        begun.stores = type(begun.stores)()
        await self.collector(begun).collect()
        assert secrets(begun, OPERATOR) == {}

    async def test_takes_that_of_an_earlier_job_of_the_same_name(self, begun):
        earlier = authority(begun)["metadata"]["name"]
        begun.cluster.remove("SplitTrainingJob", KEY.name)
        begun.cluster.apply_job(manifest())
        await begun.look(1)
        await self.collector(begun).collect()
        assert earlier not in secrets(begun, OPERATOR)
        assert is_whole(begun)

    async def test_leaves_that_of_a_job_that_is_there_though_its_watch_is_late(self, begun):
        collector = self.collector(begun)
        begun.stores.training_jobs.drop(KEY)
        await collector.collect()
        assert is_whole(begun)

    async def test_leaves_those_of_another_operator_in_the_same_namespace(self, begun):
        begun.cluster.remove("SplitTrainingJob", KEY.name)
        await self.collector(begun, watch_namespaces=("elsewhere",)).collect()
        assert authority(begun)

    async def test_of_one_authority_goes_on_when_another_fails(self, begun, monkeypatch):
        begun.cluster.apply_job({**manifest(), "metadata": {"name": "other", "namespace": KEY.namespace}})
        begun.cluster.tell(begun.stores)
        await begun.reconciler.reconcile(JobKey(KEY.namespace, "other"))
        for name in (KEY.name, "other"):
            begun.cluster.remove("SplitTrainingJob", name)
        delete, refused = begun.cluster.delete, []

        async def refusing(*arguments):
            if not refused:
                refused.append(arguments)
                raise RejectedError("Forbidden", "no")
            await delete(*arguments)

        monkeypatch.setattr(begun.cluster, "delete", refusing)
        await self.collector(begun).collect()
        assert len(secrets(begun, OPERATOR)) == 1
