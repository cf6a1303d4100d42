"""Fuzzing with atheris, which keeps inputs that reach code that no input has reached before."""

import random
from pathlib import Path

import atheris

from fuzzing.engine import Finding, bounded, decode
from fuzzing.table import TARGETS, keep


def explore(name: str, folder: Path, seconds: int, seed: int) -> None:
    """Fuzz a target, half of the inputs by its own mutator; ends the process.

    Findings are shown and kept in the corpus at once.  Atheris writes the number of inputs at its end.

    Args:
        name: Name of the target, whose decoder must not have been imported yet.
        folder: An empty folder for files of the target, and for its valid inputs.
        seconds: Time.
        seed: Seed of the mutations.
    """
    with atheris.instrument_imports(include=["pslgs", "pslgs_operator"]):
        target = TARGETS[name](folder)
    seeds = folder / "valid-inputs"
    seeds.mkdir()
    for number, data in enumerate(target.seeds):
        target.decode(data)
        (seeds / str(number)).write_bytes(data)
    rng, known = random.Random(seed), set[str]()

    def mutate(data: bytes, longest: int, _seed: int) -> bytes:
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        return target.mutate(rng, data, rng.choice(target.seeds))[:longest]

    def try_one(data: bytes) -> None:
        outcome = decode(target, data)
        if isinstance(outcome, Finding) and outcome.problem not in known:
            known.add(outcome.problem)
            print(f"{name}: {outcome.problem}, kept as {keep(name, outcome)}\n{outcome.trace}", flush=True)

    options = [f"-max_total_time={seconds}", f"-seed={seed + 1}", "-print_final_stats=1", str(seeds)]
    with bounded():
        atheris.Setup(["fuzzing", *options], try_one, custom_mutator=mutate)
        atheris.Fuzz()
