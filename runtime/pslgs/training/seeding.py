"""The random state of torch, set for what is computed next."""

import torch


def seed_torch(seed: int) -> None:
    """Seed the generators of the CPU and of the GPUs that are in use.

    ``torch.manual_seed`` does the same, but imports the compiler and formats a stack trace for each GPU
    that is not there; that is more than a small step takes.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # torch has no types there
        torch.cuda.manual_seed_all(seed)
