from dataclasses import fields
from datetime import timedelta

import pytest

from pslgs.spec.errors import InputError
from pslgs_operator.settings import Settings


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        pytest.param("PSLGS_SERVER_IMAGE", "host:5000/a/b:v1", "server_image", "host:5000/a/b:v1", id="text"),
        pytest.param("PSLGS_NAMESPACE", "123", "namespace", "123", id="text-like-a-number"),
        pytest.param("PSLGS_IMAGE_PULL_SECRETS", "[a, b]", "image_pull_secrets", ("a", "b"), id="list"),
        pytest.param("PSLGS_MONITORING_NAMESPACES", "[]", "monitoring_namespaces", (), id="empty-list"),
        pytest.param("PSLGS_POD_MONITORS", "true", "pod_monitors", True, id="flag"),
        pytest.param(
            "PSLGS_POD_MONITOR_LABELS", "{release: x}", "pod_monitor_labels", {"release": "x"}, id="mapping"
        ),
        pytest.param(
            "PSLGS_SERVER_RESOURCES",
            '{"requests":{"cpu":2}}',
            "server_resources",
            {"requests": {"cpu": 2}},
            id="nested-mapping",
        ),
        pytest.param("PSLGS_POLL_INTERVAL", "0.5", "poll_interval", timedelta(seconds=0.5), id="duration"),
    ],
)
def test_a_variable_is_read_as_its_setting_has_it(variable, text, name, value):
    assert getattr(Settings.from_environ({variable: text}), name) == value


def test_each_setting_has_a_default():
    assert Settings.from_environ({"PATH": "/bin", "HOME": "/"}) == Settings()


def test_what_the_kubelet_tells_of_a_service_is_no_setting():
    links = (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_8080_TCP",
        "PORT_8080_TCP_ADDR",
    )
    assert Settings.from_environ({f"PSLGS_OPERATOR_{link}": "10.0.0.1" for link in links}) == Settings()


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_no_setting_looks_like_what_the_kubelet_tells_of_a_service(field):
    default = getattr(Settings(), field.name)
    other = {str: "x", timedelta: "17.5", bool: str(not default).lower(), tuple: "[x]", int: "17"}.get(
        type(default), "{x: y}"
    )
    other = "debug" if field.name == "log_level" else other
    assert Settings.from_environ({f"PSLGS_{field.name.upper()}": other}) != Settings()


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        pytest.param(
            "PSLGS_SERVER_IMGE", "x", "names no setting; known are PSLGS_SERVER_IMAGE,", id="misspelt"
        ),
        pytest.param("PSLGS_POLL_INTERVAL", "soon", "is 'soon', which is refused", id="no-duration"),
        pytest.param("PSLGS_POLL_INTERVAL", "0", "is '0', which is refused", id="no-time-at-all"),
        pytest.param("PSLGS_POD_MONITORS", "maybe", "is 'maybe', which is refused", id="no-flag"),
        pytest.param("PSLGS_IMAGE_PULL_SECRETS", "a", "is 'a', which is refused", id="no-list"),
        pytest.param("PSLGS_IMAGE_PULL_SECRETS", "[", "is not valid YAML", id="no-yaml"),
    ],
)
def test_what_cannot_be_used_is_named(variable, text, words):
    with pytest.raises(InputError) as caught:
        Settings.from_environ({variable: text})
    (violation,) = caught.value.violations
    assert violation.path.startswith(variable)
    assert violation.problem.startswith(words)
