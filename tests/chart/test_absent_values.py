"""Values may be absent: users set them to null, and ``helm upgrade --reuse-values`` leaves new ones out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chart.rendering import EVERYTHING, Renderer, environment, only
from cluster.testcluster.helm import CHART
from pslgs_operator.settings import Settings

REQUIRED = {
    *("healthPort", "metricsPort"),
    *("image", "image.repository"),
    *("jobs", "jobs.clientImage", "jobs.clientImage.repository"),
    *("jobs.serverImage", "jobs.serverImage.repository"),
}
"""Values of the first release without which nothing can be rendered.  No other value may join them:
a release of an older chart does not have it, and its upgrade with ``--reuse-values`` would fail."""


def without(given: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Values in which one is null."""
    name, _, rest = path.partition(".")
    inner = given.get(name)
    return {**given, name: without(inner if isinstance(inner, dict) else {}, rest) if rest else None}


def values(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """The path of each value of the chart, and whether the schema requires it."""
    for name, inner in schema.get("properties", {}).items():
        if "description" in inner and name != "global":
            yield prefix + name, name in schema.get("required", ())
            yield from values(inner, f"{prefix}{name}.")


VALUES = dict(values(json.loads((CHART / "values.schema.json").read_text())))


def test_the_schema_requires_only_what_the_first_release_had() -> None:
    assert {path for path, required in VALUES.items() if required} == REQUIRED


@pytest.mark.parametrize("path", sorted(VALUES.keys() - REQUIRED))
def test_the_chart_is_rendered_without_a_value(path: str, helm: Renderer) -> None:
    """With everything switched on, so that the templates read what is left."""
    objects = helm.render(without(EVERYTHING, path))
    assert only(objects, "Deployment")
    Settings.from_environ(environment(objects))


@pytest.mark.parametrize("path", sorted(REQUIRED))
def test_a_required_value_that_is_absent_is_named(path: str, helm: Renderer) -> None:
    assert f"missing property '{path.rpartition('.')[2]}'" in helm.refusal(without({}, path))


def test_the_operator_has_its_own_default_for_an_absent_setting(helm: Renderer) -> None:
    settings = {"pollIntervalSeconds": None, "silenceBoundSeconds": None, "certificateLifetimeDays": None}
    objects = helm.render({"jobs": {**settings, "clientSeries": None}, "jsonLogs": None, "monitoring": None})
    images = {"server_image": "pslgs-runtime:0.1.0", "client_image": "pslgs-runtime:0.1.0"}
    found = Settings.from_environ(environment(objects))
    of_the_release = {"operator_labels": found.operator_labels, "instance": found.instance}
    assert found == Settings(**images, **of_the_release)
