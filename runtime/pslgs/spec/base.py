"""What all parts of the manifest share: names in camelCase, frozen values, rules over several fields."""

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from pslgs.spec.errors import Violation

RULE = "rule"
"""The type of the pydantic errors that `SpecModel.rules` causes; their message is ready for the user."""


class SpecModel(BaseModel):
    """A part of the manifest; immutable, refuses fields that it doesn't know."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    def rules(self) -> Iterator[Violation]:
        """Yield what the fields get wrong together, with paths relative to this part (``train.path``)."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_the_default(cls, value: object) -> object:
        """Drop fields without a value (``clients:``), as the API server does; keywords keep their null."""
        if not isinstance(value, dict) or cls.model_config.get("extra") == "allow":
            return value
        return {name: given for name, given in value.items() if given is not None}

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        if broken := list(self.rules()):
            raise ValidationError.from_exception_data(type(self).__name__, [_detail(each) for each in broken])
        return self


def _detail(violation: Violation) -> InitErrorDetails:
    message = PydanticCustomError(RULE, "{problem}", {"problem": violation.problem})
    return InitErrorDetails(type=message, loc=tuple(violation.path.split(".")), input=None)
