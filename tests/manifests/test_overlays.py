from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.jobs import body, clients, job
from pslgs.spec import InputError
from pslgs_operator.manifests.server import server_job
from pslgs_operator.overlay import strategic_merge
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

GENERATED = server_job(job(), 2, Settings())["spec"]["template"]

SCALARS = st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"])
FIELDS = st.sampled_from(["image", "resources", "limits", "securityContext", "x"])
PLAIN = st.recursive(
    SCALARS, lambda inner: st.dictionaries(FIELDS, inner, max_size=3) | st.lists(SCALARS, max_size=2)
)


def items(key: str, values: list[Any]) -> st.SearchStrategy[list[Any]]:
    item = st.fixed_dictionaries(
        {key: st.sampled_from(values)}, optional={"image": PLAIN, "resources": PLAIN, "value": SCALARS}
    )
    return st.lists(item, max_size=3)


CONTAINER = st.fixed_dictionaries(
    {"name": st.sampled_from(["server", "sidecar"])},
    optional={
        "image": PLAIN,
        "resources": PLAIN,
        "env": items("name", ["CPU_LIMIT", "A"]),
        "volumeMounts": items("mountPath", ["/data", "/models"]),
        "ports": items("containerPort", [8080, 9999]),
        "args": st.lists(st.sampled_from(["a", "b"])),
    },
)
TEMPLATES = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"labels": st.dictionaries(FIELDS, SCALARS)}),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "containers": st.lists(CONTAINER, max_size=3),
                "volumes": items("name", ["scratch", "data"]),
                "tolerations": st.lists(st.dictionaries(FIELDS, st.sampled_from(["a", "b"])), max_size=3),
                "nodeSelector": st.dictionaries(FIELDS, SCALARS),
                "securityContext": PLAIN,
            },
        ),
    },
)


def test_nothing_laid_over_changes_nothing():
    assert strategic_merge(GENERATED, {}) == GENERATED


@given(template=TEMPLATES)
def test_a_template_laid_over_twice_is_laid_over_once(template):
    once = strategic_merge(GENERATED, template)
    assert strategic_merge(once, template) == once


@given(template=TEMPLATES)
def test_what_is_generated_is_not_changed_in_place(template):
    before = repr(GENERATED)
    strategic_merge(GENERATED, template)
    assert repr(GENERATED) == before


@given(template=TEMPLATES)
def test_every_container_and_volume_of_ours_stays(template):
    merged = strategic_merge(GENERATED, template)["spec"]
    for name in ("containers", "volumes"):
        ours = [each["name"] for each in GENERATED["spec"][name]]
        assert [each["name"] for each in merged[name]][: len(ours)] == ours


@given(template=TEMPLATES)
def test_no_null_is_left(template):
    assert ": None" not in repr(strategic_merge(GENERATED, template)["spec"].get("nodeSelector"))
    assert None not in strategic_merge({}, template.get("spec", {})).values()


@pytest.mark.parametrize(
    ("generated", "template", "merged"),
    [
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="mappings-are-merged"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}, id="null-removes"),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}, id="plain-lists-are-replaced"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]},
            {"env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]},
            id="items-are-merged-by-their-key",
        ),
        pytest.param(
            {"volumes": [{"name": "scratch", "emptyDir": {}}]},
            {"volumes": [{"name": "scratch", "hostPath": {"path": "/x"}}]},
            {"volumes": [{"name": "scratch", "hostPath": {"path": "/x"}}]},
            id="a-volume-of-another-kind-takes-the-place",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}, {"key": "a"}]},
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
            id="tolerations-are-added",
        ),
    ],
)
def test_lists_and_mappings_are_merged_as_kubernetes_does(generated, template, merged):
    assert strategic_merge(generated, template) == merged


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        pytest.param({"containers": "x"}, "containers", "must be a list", id="containers-text"),
        pytest.param({"containers": None}, "containers", "must be a list", id="containers-taken-away"),
        pytest.param(
            {"containers": [{"name": "client", "env": None}]},
            "containers[0].env",
            "must be a list",
            id="environment-taken-away",
        ),
        pytest.param({"containers": [1]}, "containers[0]", "must be a mapping", id="container-number"),
        pytest.param({"containers": [{}]}, "containers[0].name", "is missing", id="container-without-name"),
        pytest.param(
            {"containers": [{"name": "client", "env": [{"value": "x"}]}]},
            "containers[0].env[0].name",
            "is missing",
            id="variable-without-name",
        ),
        pytest.param({"volumes": {"name": "x"}}, "volumes", "must be a list", id="volumes-mapping"),
        pytest.param({"tolerations": "x"}, "tolerations", "must be a list", id="tolerations-text"),
        pytest.param({"affinity": 3}, "affinity", "must be a mapping", id="affinity-number"),
        pytest.param(
            {"containers": [{"name": "client", "$patch": "delete"}]},
            "containers[0].$patch",
            "is a directive",
            id="directive",
        ),
    ],
)
def test_a_template_that_cannot_be_merged_is_refused_with_its_path(spec, path, words):
    with pytest.raises(InputError) as caught:
        TrainingJob.parse(body(clients=clients(template={"spec": spec})))
    (violation,) = caught.value.violations
    assert violation.path == f"spec.clients.template.spec.{path}"
    assert violation.problem.startswith(words)


@pytest.mark.parametrize(
    "template",
    [
        {"spec": {"affinity": None, "tolerations": None, "securityContext": None}},
        {"spec": {"containers": [{"name": "server", "resources": None, "readinessProbe": None}]}},
        {"metadata": {"labels": None, "annotations": None}},
    ],
    ids=["of-the-pod", "of-a-container", "of-metadata"],
)
def test_a_null_removes_what_the_operator_does_not_need(template):
    TrainingJob.parse(body(server={"template": template}, clients=clients(template=template)))
