"""Seeding of torch's random number generators."""

import torch


def seed_torch(seed: int) -> None:
    """Seed the generators of the CPU and, if CUDA is initialized, of all GPUs.

    ``torch.manual_seed`` does the same, but imports the compiler and formats a stack trace for each missing
    GPU, which takes longer than a small step.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # torch has no types there
        torch.cuda.manual_seed_all(seed)
