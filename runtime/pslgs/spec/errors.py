"""Errors in a user's input, with the path of the field, the reason and the remedy."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Violation:
    """One error in the input.

    Attributes:
        path: Path of the field as in the manifest (``spec.model.cutLayer``); empty if no field is concerned.
        problem: What is wrong and what to do, one sentence without the path.
    """

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class InputError(ValueError):
    """Raised when the user's input is invalid; nothing has been started then.

    Attributes:
        violations: All errors that were found, at least one.
    """

    def __init__(self, *violations: Violation) -> None:
        super().__init__("\n".join(map(str, violations)))
        self.violations = violations

    def __reduce__(self) -> tuple[type[Self], tuple[Violation, ...]]:
        """Keep the violations when the error is passed between processes of one program."""
        return type(self), self.violations

    @classmethod
    def at(cls, path: str, problem: str) -> Self:
        """Make an error with a single violation of the field at ``path``."""
        return cls(Violation(path, problem))
