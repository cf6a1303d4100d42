"""Events are listed for a namespace, however many of its jobs want to know."""

import asyncio
from datetime import UTC, datetime

import pytest

from pslgs_operator.kube_client import RetryableError
from pslgs_operator.pod_warnings import SHARED, PodWarnings
from reconciling.fake_cluster import FakeCluster

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Slow(FakeCluster):
    """Answers when it is let, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.is_there = True

    async def warnings(self, namespace):
        told = await super().warnings(namespace)
        await self.may_answer.wait()
        if not self.is_there:
            raise RetryableError("connection refused")
        return told

    @property
    def asked(self) -> int:
        return self.calls["read warnings"]


@pytest.fixture
async def cluster():
    return Slow()


def complain(cluster: FakeCluster, pod: str, namespace: str) -> None:
    cluster.complain(pod, "FailedMount", "no disk", namespace)


async def together(complaints: PodWarnings, *namespaces: str):
    asking = [asyncio.create_task(complaints.of(each, NOW)) for each in namespaces]
    await asyncio.sleep(0)  # all of them have asked
    return asking


async def test_all_who_ask_while_the_answer_is_under_way_get_it(cluster):
    complain(cluster, "stuck", "a")
    asking = await together(PodWarnings(cluster), *["a"] * 50)
    cluster.may_answer.set()
    assert [set(each) for each in await asyncio.gather(*asking)] == [{"stuck"}] * 50
    assert cluster.asked == 1


async def test_each_namespace_has_its_own(cluster):
    complain(cluster, "stuck", "a")
    cluster.may_answer.set()
    complaints = PodWarnings(cluster)
    assert await complaints.of("a", NOW)
    assert not await complaints.of("b", NOW)
    assert cluster.asked == 2


async def test_an_answer_that_is_too_old_is_not_given_again(cluster):
    cluster.may_answer.set()
    complaints = PodWarnings(cluster)
    assert not await complaints.of("a", NOW)
    complain(cluster, "stuck", "a")
    assert not await complaints.of("a", NOW + SHARED / 2)
    assert await complaints.of("a", NOW + SHARED)


async def test_who_is_cut_short_takes_the_answer_from_nobody(cluster):
    complain(cluster, "stuck", "a")
    first, second = await together(PodWarnings(cluster), "a", "a")
    first.cancel()
    await asyncio.sleep(0)
    cluster.may_answer.set()
    assert await second


async def test_all_hear_that_there_is_no_answer_and_the_next_ask_again(cluster):
    cluster.is_there = False
    complaints = PodWarnings(cluster)
    asking = await together(complaints, "a", "a")
    cluster.may_answer.set()
    for each in asking:
        with pytest.raises(RetryableError):
            await each
    cluster.is_there = True
    assert await complaints.of("a", NOW + SHARED) == {}
    assert cluster.asked == 2
