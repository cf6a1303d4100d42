"""Which client has which profile: a mix of kinds, dealt out by a seeded draw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from pslgs.sampling.randomness import Purpose, generator
from pslgs.spec.document import read_document
from pslgs.spec.errors import InputError
from pslgs.spec.profiles import PROFILES, ClientProfile
from pslgs.spec.violations import nearest, violations_of

OPTION = "--profile"


class Part(NamedTuple):
    """A kind of client and its weight in a mix."""

    profile: ClientProfile
    weight: float


Mix = Sequence[Part]


def parse_mix(text: str) -> Mix:
    """Parse ``lte``, ``lan:0.8,lte:0.2``, or names of YAML files with a `ClientProfile`'s fields in them.

    Raises:
        InputError: a name is unknown, a weight is no positive number, or a file is no profile.
    """
    return [_part(each.strip()) for each in text.split(",")]


def assign(mix: Mix, clients: Sequence[str], seed: int) -> dict[str, ClientProfile]:
    """Draw a profile for each client, with probabilities in proportion to the weights."""
    weights = [part.weight for part in mix]
    rng = generator(seed, Purpose.CLIENT_PROFILE)
    drawn = rng.choice(len(mix), size=len(clients), p=[weight / sum(weights) for weight in weights])
    return {client: mix[kind].profile for client, kind in zip(clients, drawn.tolist(), strict=True)}


def _part(text: str) -> Part:
    name, colon, share = text.partition(":")
    try:
        weight = float(share) if colon else 1.0
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise InputError.at(OPTION, f"has the weight '{share}'; write NAME:WEIGHT, such as lan:0.8,lte:0.2")
    return Part(PROFILES[name] if name in PROFILES else _read(name, PROFILES), weight)


def _read(name: str, known: Mapping[str, ClientProfile]) -> ClientProfile:
    if not name.endswith((".yaml", ".yml")):
        raise InputError.at(
            OPTION,
            f"names '{name}', must be one of {', '.join(known)} or a YAML file{nearest(name, [*known])}",
        )
    try:
        return ClientProfile.model_validate(read_document(Path(name)))
    except ValidationError as error:
        raise InputError(*violations_of(error, ClientProfile)) from error
