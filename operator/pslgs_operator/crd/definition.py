"""The custom resource definition, and its YAML."""

from typing import Any, Final

import yaml

from pslgs.spec import JobSpec
from pslgs.spec.job import API_VERSION, KIND
from pslgs_operator.crd.immutability import IMMUTABILITY_RULES
from pslgs_operator.crd.openapi import Schema, structural_schema
from pslgs_operator.crd.rules import NAME_RULES
from pslgs_operator.crd.status import STATUS

GROUP, VERSION = API_VERSION.split("/")
PLURAL: Final = "splittrainingjobs"

_COLUMNS: Final = (
    ("Phase", ".status.phase"),
    ("Clients", ".status.clients.summary"),
    ("Epoch", ".status.training.epochSummary"),
    ("Progress", ".status.training.progress"),
    ("Loss", ".status.training.loss"),
    ("Accuracy", ".status.training.accuracy"),
    ("Deviation", ".status.training.deviation"),
)
_WIDE_COLUMNS: Final = (
    ("Samples/s", ".status.training.samplesPerSecond"),
    ("ETA", ".status.training.eta"),
    ("Server", ".status.server.node"),
)
_HEARTBEAT: Final = ("Heartbeat", ".status.lastHeartbeatTime")


def custom_resource_definition() -> dict[str, Any]:
    """Make the definition that `kubectl apply` is given."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["stj"],
            },
            "scope": "Namespaced",
            "versions": [_version_1_alpha_1()],
        },
    }


def _version_1_alpha_1() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            *(_column(name, path) for name, path in _COLUMNS),
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            *(_column(name, path) | {"priority": 1} for name, path in _WIDE_COLUMNS),
            _column(*_HEARTBEAT) | {"type": "date", "priority": 1},
        ],
        "schema": {"openAPIV3Schema": _schema()},
    }


def _column(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "type": "string", "jsonPath": path}


def _schema() -> Schema:
    return {
        "description": "One network, trained over data that never leave their nodes, by parallel split "
        "learning with global sampling.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": "Version of the API.", "type": "string"},
            "kind": {"description": "Kind of the object.", "type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural_schema(JobSpec),
            "status": STATUS,
        },
        "x-kubernetes-validations": [rule.to_json() for rule in (*NAME_RULES, *IMMUTABILITY_RULES)],
    }


HEADER: Final = "# Generated from pslgs.spec by `python -m pslgs_operator.crd`; change it there.\n"


class _Dumper(yaml.SafeDumper):
    """Without anchors, and with lists indented under their names."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        super().increase_indent(flow, indentless=False)


def as_yaml(definition: dict[str, Any]) -> str:
    """Write a definition in its own order of fields, below a line that says where it comes from."""
    return HEADER + yaml.dump(definition, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
