"""The base class of all parts of the manifest: camelCase names, immutability, rules across fields."""

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from pslgs.spec.errors import Violation

RULE = "rule"
"""Type of the pydantic errors made from `SpecModel.rules`; their messages are shown to users unchanged."""


class SpecModel(BaseModel):
    """A part of the manifest: immutable, with unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    def rules(self) -> Iterator[Violation]:
        """Yield the violations of rules across fields, with paths relative to this part (``train.path``)."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: object) -> object:
        """Drop fields that are null (``clients:``), so that defaults apply, as the API server does.

        Parts that allow any field hold keyword arguments, for which null is a value (None).
        """
        if not isinstance(value, dict) or cls.model_config.get("extra") == "allow":
            return value
        return {name: given for name, given in value.items() if given is not None}

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if violations := list(self.rules()):
            details = [_detail(violation) for violation in violations]
            raise ValidationError.from_exception_data(type(self).__name__, details)
        return self


def _detail(violation: Violation) -> InitErrorDetails:
    message = PydanticCustomError(RULE, "{problem}", {"problem": violation.problem})
    return InitErrorDetails(type=message, loc=tuple(violation.path.split(".")), input=None)
