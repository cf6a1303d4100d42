"""Keys of labels and annotations that users give, judged as Kubernetes does."""

from typing import Any

import pytest

from pslgs.spec import InputError, parse_job
from pslgs.spec.labels import key_violations
from pslgs.spec.manifest import with_overrides

LONG_NAME = "n" * 63
LONG_PREFIX = ".".join(["p" * 62] * 4)


@pytest.mark.parametrize("key", ["a", "A_b.c-9", "a.b/c", f"{LONG_PREFIX}/{LONG_NAME}"], ids=len)
def test_a_key_that_kubernetes_accepts_is_accepted(key: str) -> None:
    assert list(key_violations("labels", [key])) == []


@pytest.mark.parametrize(
    "key",
    ["", "a b", "-a", "a.", "A.b/c", "a/", "/a", "a/b/c", LONG_NAME + "n", f"{LONG_PREFIX}ppp/a", "a\n"],
)
def test_a_key_that_kubernetes_refuses_is_refused(key: str) -> None:
    (violation,) = key_violations("labels", [key])
    assert (violation.path, violation.problem.startswith(f"has the key '{key}', which is no name")) == (
        "labels",
        True,
    )


@pytest.mark.parametrize(
    "path",
    [
        "spec.childMetadata.labels",
        "spec.childMetadata.annotations",
        "spec.server.service.annotations",
        "spec.server.template.metadata.labels",
        "spec.clients.template.metadata.annotations",
        "spec.clients.nodeSelector",
    ],
)
def test_every_field_with_such_keys_is_checked(path: str, manifest: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        parse_job(with_overrides(manifest, [f"{path}={{'a b': c}}"]))
    assert [each.path for each in caught.value.violations] == [path]
