"""Every random number of a job, derived from its seed and from what the number is for."""

import hashlib
from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers is used for; streams of different purposes are independent."""

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
    """Turn a client's name into a key for `generator`; equal on every machine (64 bits of SHA-256)."""
    return int.from_bytes(hashlib.sha256(client_id.encode()).digest()[:8], "little")


def generator(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """Make the generator of a job's ``seed`` for ``purpose`` and ``keys`` (epoch, client, step …)."""
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *keys]))


def torch_seed(seed: int, purpose: Purpose, *keys: int) -> int:
    """Derive a seed for ``torch.manual_seed`` (63 bits), as `generator` does for NumPy."""
    state = np.random.SeedSequence([seed, purpose, *keys]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
