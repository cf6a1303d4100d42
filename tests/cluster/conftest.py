import re
from collections.abc import Generator

import pytest

from cluster.testcluster.stage import Cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what tells why a scenario failed, and say where."""
    report = yield
    clusters = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Cluster)]
    if report.failed and clusters:
        folder = item.config.rootpath / "artefacts" / re.sub(r"\W+", "-", item.name)
        clusters[0].collect(folder)
        report.sections.append(("artefacts", str(folder)))
    return report
