"""Random number generators, derived from the job's seed, a purpose and keys."""

import hashlib
from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """Purposes of random numbers; the generators of different purposes are independent."""

    SCHEDULE = 1
    LOCAL_ORDER = 2
    AUGMENTATION = 3
    CLIENT_DROPOUT = 4
    SERVER_DROPOUT = 5
    PARTITION = 6
    INITIAL_WEIGHTS = 7
    VIRTUAL_LOSS = 8
    CLIENT_PROFILE = 9
    RECALIBRATION = 10


def client_key(client_id: str) -> int:
    """Return a key for `generator` from a client's id: 64 bits of its SHA-256, equal on every machine."""
    return int.from_bytes(hashlib.sha256(client_id.encode()).digest()[:8], "little")


def generator(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """Create the NumPy generator for a purpose and ``keys`` (epoch, client, step …) of a job's ``seed``."""
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *keys]))


def torch_seed(seed: int, purpose: Purpose, *keys: int) -> int:
    """Return a seed for ``torch.manual_seed`` (63 bits), derived from the same values as in `generator`."""
    state = np.random.SeedSequence([seed, purpose, *keys]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
