"""What kopf watches: its private class `Insights`, of which the operator changes the namespaces.

kopf accepts an instance as a public argument, but exports neither the class nor a way to change the
namespaces while it runs.  This is the only module that imports it.
"""

from collections.abc import Iterable

from kopf._cogs.structs.references import Insights, NamespaceName

__all__ = ["Insights", "set_namespaces"]


async def set_namespaces(insights: Insights, wanted: Iterable[str], served: Iterable[str]) -> None:
    """Let kopf watch ``served`` and no other namespaces of ``wanted``."""
    kept = set(map(NamespaceName, served))
    async with insights.revised:
        gone = insights.namespaces & (set(map(NamespaceName, wanted)) - kept)
        insights.namespaces.difference_update(gone)
        insights.namespaces.update(kept)
        insights.revised.notify_all()
