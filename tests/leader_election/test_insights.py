"""The private part of kopf by which the watched namespaces change; a new version of kopf may break it."""

import inspect

import kopf

from pslgs_operator.insights import Insights, set_namespaces


def test_kopf_accepts_what_it_watches_as_an_argument() -> None:
    assert "insights" in inspect.signature(kopf.operator).parameters
    assert "insights" in inspect.signature(kopf.run).parameters


async def test_served_namespaces_are_watched_and_others_are_not() -> None:
    insights = Insights()
    await set_namespaces(insights, ["a", "b"], ["a", "b"])
    assert insights.namespaces == {"a", "b"}
    await set_namespaces(insights, ["a", "b"], ["b"])
    assert insights.namespaces == {"b"}


async def test_kopf_is_notified() -> None:
    insights, notified = Insights(), []
    notify_all = insights.revised.notify_all
    insights.revised.notify_all = lambda: (notified.append(True), notify_all())[1]  # type: ignore[method-assign]
    await set_namespaces(insights, ["a"], ["a"])
    assert notified == [True]
