"""Jobs at a real API server, and what it says against them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kubernetes import client, config

REPOSITORY = Path(__file__).parents[2]
DEFINITION = REPOSITORY / "crds" / "splittrainingjobs.yaml"
PLACE = {"group": "pslgs.dev", "version": "v1alpha1", "plural": "splittrainingjobs"}


class Refusal(NamedTuple):
    """One thing that the API server says is wrong."""

    path: str
    words: str


@dataclass(frozen=True)
class Jobs:
    """The jobs of one namespace; unknown fields are errors, as with kubectl."""

    api: client.CustomObjectsApi
    namespace: str

    @classmethod
    def of(cls, kubeconfig: Path, namespace: str) -> "Jobs":
        return cls(client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig))), namespace)

    def create(self, manifest: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        return self.api.create_namespaced_custom_object(
            **PLACE, namespace=self.namespace, body=manifest, field_validation="Strict", **options
        )

    def try_out(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        return self.create(manifest, dry_run="All")

    def get(self, name: str) -> dict[str, Any]:
        return self.api.get_namespaced_custom_object(**PLACE, namespace=self.namespace, name=name)

    def change(self, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        return self.api.patch_namespaced_custom_object(
            **PLACE, namespace=self.namespace, name=name, body={"spec": spec}, field_validation="Strict"
        )

    def set_status(self, name: str, status: Mapping[str, Any]) -> dict[str, Any]:
        return self.api.patch_namespaced_custom_object_status(
            **PLACE, namespace=self.namespace, name=name, body={"status": status}, field_validation="Strict"
        )

    def delete_all(self) -> None:
        self.api.delete_collection_namespaced_custom_object(**PLACE, namespace=self.namespace)

    def refusals(self, manifest: Mapping[str, Any]) -> list[Refusal]:
        """What is wrong with a manifest; empty where nothing is."""
        try:
            self.try_out(manifest)
        except client.ApiException as error:
            return list(refusals(error))
        return []


def refusals(error: client.ApiException) -> Iterator[Refusal]:
    """Read the causes; a strict decoder has none and puts all into one message."""
    answer = json.loads(error.body)
    for cause in answer.get("details", {}).get("causes", ()):
        yield Refusal(cause.get("field", ""), cause["message"])
    _, found, unknown = answer["message"].partition("strict decoding error: ")
    for each in unknown.split(", ") if found else ():
        words, _, path = each.partition(' "')
        yield Refusal(path.removesuffix('"'), words)


def shortest_manifest() -> dict[str, Any]:
    """Return the shortest manifest that a cluster takes."""
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "digits"},
        "spec": {
            "model": {"architecture": "mlp", "cutLayer": "hidden1"},
            "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
            "epochs": 3,
            "clients": {"nodeSelector": {"pslgs.dev/edge": "true"}},
        },
    }
