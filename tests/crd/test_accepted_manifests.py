"""What the API server makes of good manifests: filled in like the parser does, read back without loss."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.testcluster.access import ApiServer
from cluster.testcluster.process import ClusterError
from crd.jobs import REPOSITORY, Jobs
from pslgs.spec import parse_job
from pslgs.spec.manifest import read_document, with_overrides

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))


def spec_of(document: object) -> Any:
    return parse_job(document).spec


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_accepted_and_means_the_same(example: Path, tried_out: Jobs) -> None:
    document = read_document(example)
    assert isinstance(document, Mapping)
    stored = tried_out.try_out(document)
    assert spec_of(stored) == spec_of(document)


def test_a_short_manifest_is_filled_in(manifest: dict[str, Any], tried_out: Jobs) -> None:
    spec = tried_out.try_out(manifest)["spec"]
    assert spec["optimizer"]["betas"] == [0.9, 0.999]
    assert spec["sampling"]["globalBatchSize"] == 128
    assert spec["faultTolerance"]["minAvailableClients"] == 1
    assert spec["server"] == {"gpus": 0, "gpuResource": "nvidia.com/gpu", "service": {"type": "ClusterIP"}}


@pytest.mark.parametrize(
    ("given", "part", "filled_in"),
    [
        ("spec.optimizer={name: Adam}", "optimizer", {"learningRate": 0.01, "weightDecay": 0}),
        ("spec.faultTolerance={minAvailableClients: 80%}", "faultTolerance", {"onLostClient": "Continue"}),
        ("spec.server={service: {}}", "server", {"gpus": 0, "service": {"type": "ClusterIP"}}),
        ("spec.checkpoint={keep: 3}", "checkpoint", {"everySteps": 500}),
    ],
    ids=["optimizer", "fault tolerance", "service", "checkpoint"],
)
def test_what_is_left_out_of_a_part_is_filled_in(
    given: str, part: str, filled_in: dict[str, Any], manifest: dict[str, Any], tried_out: Jobs
) -> None:
    document = with_overrides(manifest, [given])
    stored = tried_out.try_out(document)
    assert stored["spec"][part].items() >= filled_in.items()
    assert spec_of(stored) == spec_of(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.model.options", {"bias": None, "sizes": [1, 2.5], "deep": {"a": {"b": True}}}),
        ("spec.data.transforms", [{"name": "Pad", "padding": 4, "fill": None, "mode": {"a": 1}}]),
        ("spec.server.template.spec", {"nodeSelector": None, "containers": [{"name": "server", "env": []}]}),
    ],
    ids=["options", "transforms", "template's spec"],
)
def test_free_parts_keep_everything_even_nulls(
    path: str, value: object, manifest: dict[str, Any], tried_out: Jobs
) -> None:
    stored: Any = tried_out.try_out(with_overrides(manifest, [f"{path}={json.dumps(value)}"]))
    for name in path.split("."):
        stored = stored[name]
    assert stored == value


@pytest.mark.parametrize("name", ["a", "a" * 40, "a-0"])
def test_names_that_children_can_be_named_after_are_accepted(
    name: str, manifest: dict[str, Any], tried_out: Jobs
) -> None:
    assert tried_out.refusals(with_overrides(manifest, [f"metadata.name='{name}'"])) == []


def test_a_node_port_with_an_address_is_accepted(manifest: dict[str, Any], tried_out: Jobs) -> None:
    service = "spec.server.service={type: NodePort, address: gpu-0.example.org}"
    assert tried_out.refusals(with_overrides(manifest, [service])) == []


def test_a_field_without_a_value_is_as_good_as_absent(manifest: dict[str, Any], tried_out: Jobs) -> None:
    nothing = with_overrides(manifest, ["spec.optimizer=", "spec.data.evaluation=", "spec.epochs=4"])
    assert spec_of(tried_out.try_out(nothing)) == spec_of(nothing)


def test_classes_keep_their_order_when_they_are_applied_anew(
    manifest: dict[str, Any], defined: ApiServer, jobs: Jobs
) -> None:
    for classes in (["cat", "ant", "bee"], ["bee", "cat", "ant", "dog"]):
        source = {"format": "ImageFolder", "path": "/data", "classes": classes}
        changed = with_overrides(manifest, [f"spec.data.train={json.dumps(source)}"])
        defined.run(
            *("--namespace", jobs.namespace, "apply", "--server-side", "--filename=-"),
            stdin=json.dumps(changed),
        )
        assert jobs.get("digits")["spec"]["data"]["train"]["classes"] == classes


def test_kubectl_explains_the_sampling(defined: ApiServer) -> None:
    explained = explanation(defined, "stj.spec.sampling")
    assert "enum: Global, FixedLocal, FixedProportionalLocal, LatentDirichlet" in explained
    assert "Number of samples in a step, over all clients together." in explained


def explanation(server: ApiServer, path: str) -> str:
    """Ask until the API server has published the kind's schema, which takes it a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return server.run("explain", path)
        except ClusterError:
            if time.monotonic() > deadline:
                raise
