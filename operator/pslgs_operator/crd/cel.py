"""CEL rules of the custom resource definition."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pslgs.spec.base import SpecModel

_VALUE: Final = re.compile(r"«(.*?)»")


class Reason(StrEnum):
    """How the API server introduces a refusal."""

    INVALID = "FieldValueInvalid"
    FORBIDDEN = "FieldValueForbidden"
    REQUIRED = "FieldValueRequired"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over a part of the manifest, which CEL calls `self`.

    Attributes:
        path: The field that is to blame, relative to that part (``train.path``); empty for the part itself.
        holds: The CEL expression that is true when all is well.
        problem: The sentence that is said otherwise, without the path. What stands in «» is
            evaluated as CEL.
        reason: How the API server introduces the sentence.
    """

    path: str
    holds: str
    problem: str
    reason: Reason = Reason.INVALID

    def to_json(self) -> dict[str, str]:
        """Write it as an entry of ``x-kubernetes-validations``."""
        field = {"fieldPath": f".{self.path}"} if self.path else {}
        return {"rule": self.holds, **self._message(), "reason": self.reason.value, **field}

    def _message(self) -> dict[str, str]:
        """Write the sentence with its values, and without them for values that CEL refuses to show."""
        message = {"message": _VALUE.sub("…", self.problem)}
        if values := _VALUE.findall(self.problem):
            text = literal(_VALUE.sub("%s", self.problem.replace("%", "%%")))
            message["messageExpression"] = f"{text}.format([{', '.join(values)}])"
        return message


def default_unless(condition: str, model: type[SpecModel], name: str, problem: str, within: str = "") -> Rule:
    """Refuse a field with another value than its default, unless the CEL ``condition`` holds.

    Args:
        condition: The CEL expression.
        model: The part of the manifest that has the field.
        name: The field's name in Python.
        problem: See `Rule`.
        within: Name of the part in the one that the rule judges; empty if that is the part.
    """
    alias = model.model_fields[name].alias or name
    path = f"{within}.{alias}" if within else alias
    return Rule(path, f"{condition} || !({given(model, name, within)})", problem, Reason.FORBIDDEN)


def given(model: type[SpecModel], name: str, within: str = "") -> str:
    """Return CEL for whether a field has another value than its default; see `default_unless`."""
    field = model.model_fields[name]
    this = f"self.{within}.{field.alias}" if within else f"self.{field.alias}"
    if field.default is None:
        return f"has({this})"
    if field.default == {}:
        # To CEL a map of anything has no type, and a field without a type does not exist.
        return f"has(dyn(self).{field.alias}) && size(dyn(self).{field.alias}) > 0"
    if field.default == ():
        return f"has({this}) && size({this}) > 0"
    return f"{this} != {literal(field.default)}"


def literal(value: object) -> str:
    """Write a text, number or list of them as CEL does."""
    return json.dumps(value, ensure_ascii=False)
