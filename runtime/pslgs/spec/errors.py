"""What is wrong with a user's input, said so that the user can mend it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with the input.

    Attributes:
        path: The field it stands in, as in the manifest (``spec.model.cutLayer``); empty where no field is.
        problem: What is wrong and what to do, one sentence without the path.
    """

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class InputError(ValueError):
    """The user's input cannot be used; nothing was started because of it.

    Attributes:
        violations: All that is wrong, never empty.
    """

    def __init__(self, *violations: Violation) -> None:
        super().__init__("\n".join(map(str, violations)))
        self.violations = violations

    @classmethod
    def at(cls, path: str, problem: str) -> "InputError":
        """Make an error with a single violation of the field at ``path``."""
        return cls(Violation(path, problem))
