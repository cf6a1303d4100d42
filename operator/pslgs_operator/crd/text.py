"""The definition as text that people can read and compare."""

from typing import Any, Final

import yaml

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
