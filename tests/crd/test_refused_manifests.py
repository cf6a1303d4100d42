"""The API server refuses bad manifests, with the field's path and a reason that a user can act on."""

import json
from typing import Any, NamedTuple

import pytest

from cluster.testcluster.access import ApiServer
from cluster.testcluster.process import ClusterError
from crd.jobs import Jobs
from pslgs.spec.manifest import with_overrides
from spec import bad_manifests
from spec.bad_manifests import Bad


class Expected(NamedTuple):
    """What the API server says of a bad manifest."""

    bad: Bad
    words: str


def expect(group: list[Bad], words: str, but: dict[str, str]) -> list[Expected]:
    return [Expected(bad, but.get(bad.name, words)) for bad in group]


IN_THE_SAME_WORDS = "the words of the parser"

BOTH = [
    *expect(bad_manifests.UNKNOWN, "unknown field", {}),
    *expect(
        bad_manifests.MISSING,
        IN_THE_SAME_WORDS,
        dict.fromkeys(
            (
                "no epochs",
                "no model",
                "no name",
                "no spec",
                "no transform's name",
                "no clients in a partition",
            ),
            "Required value",
        ),
    ),
    *expect(
        [each for each in bad_manifests.WRONG_TYPE if each.name != "not a number"],
        "must be of type",
        {"mapping for a list": "unknown field"},
    ),
    *expect(
        bad_manifests.OUT_OF_RANGE,
        "should be",
        {
            "too large a seed": "must be",
            "empty shape": "should have at least 1 items",
            "one beta": "should have at least 2 items",
            "three betas": "must have at most 2 items",
            "too many transforms": "must have at most 64 items",
            "above 100 %": IN_THE_SAME_WORDS,
            "no quorum": IN_THE_SAME_WORDS,
        },
    ),
    *expect(bad_manifests.BAD_TEXT, IN_THE_SAME_WORDS, {"long path": "may not be more than 1024"}),
    *expect(bad_manifests.CHOICES, "supported values: ", {}),
    *expect(bad_manifests.TOGETHER, IN_THE_SAME_WORDS, {"classes twice": "Duplicate value"}),
]

IN_A_CLUSTER = [
    Bad(
        "no labels of nodes",
        ["spec.clients.nodeSelector="],
        "spec.clients.nodeSelector",
        "is missing; name the labels of the nodes that hold data",
    ),
    Bad(
        "empty labels of nodes",
        ["spec.clients.nodeSelector={}"],
        "spec.clients.nodeSelector",
        "name the labels of the nodes that hold data",
    ),
    Bad("no clients", ["spec.clients="], "spec.clients.nodeSelector", "name the labels of the nodes"),
    Bad(
        "node port without an address",
        ["spec.server.service.type=NodePort"],
        "spec.server.service.address",
        "is missing; with a NodePort, give the name or IP of a node that clients can dial",
    ),
]


def test_there_are_at_least_forty_bad_manifests() -> None:
    assert len(BOTH) + len(IN_A_CLUSTER) >= 40


@pytest.mark.parametrize("expected", BOTH, ids=lambda expected: expected.bad.name.replace(" ", "-"))
def test_what_the_parser_refuses_the_api_server_refuses(
    expected: Expected, manifest: dict[str, Any], tried_out: Jobs
) -> None:
    bad, words = expected
    refusals = tried_out.refusals(with_overrides(manifest, bad.settings))
    blamed = " and ".join(words for path, words in refusals if is_at(path, bad.path))
    assert (bad.words if words == IN_THE_SAME_WORDS else words) in blamed, refusals


def is_at(path: str, expected: str) -> bool:
    """Tell whether a path is the expected one, or that of something in it."""
    return path == expected or path.startswith((f"{expected}[", f"{expected}."))


@pytest.mark.parametrize("bad", IN_A_CLUSTER, ids=lambda bad: bad.name.replace(" ", "-"))
def test_what_only_a_cluster_needs_is_asked_for(bad: Bad, manifest: dict[str, Any], tried_out: Jobs) -> None:
    (only,) = tried_out.refusals(with_overrides(manifest, bad.settings))
    assert only.path == bad.path
    assert bad.words in only.words


def test_all_refusals_are_told_at_once(manifest: dict[str, Any], tried_out: Jobs) -> None:
    everywhere = ["spec.server.service.type=NodePort", "spec.model.cutLayer=", "spec.data.train.path=x"]
    refusals = tried_out.refusals(with_overrides(manifest, everywhere))
    assert {each.path for each in refusals} == {
        "spec.server.service.address",
        "spec.model.cutLayer",
        "spec.data.train.path",
    }


def test_kubectl_apply_refuses_a_misspelt_field_with_its_path(
    manifest: dict[str, Any], defined: ApiServer
) -> None:
    misspelt = with_overrides(manifest, ["spec.optimizer.learningrate=0.1"])
    with pytest.raises(ClusterError, match=r'unknown field "spec\.optimizer\.learningrate"'):
        defined.run("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(misspelt))
