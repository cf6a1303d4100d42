"""The one rule on the global batch size that needs the number of samples."""

from pslgs.spec.errors import Violation


def batch_size_violation(global_batch_size: int, pooled_samples: int) -> Violation | None:
    """Return what is wrong if the clients hold fewer samples together than one global batch has."""
    if global_batch_size <= pooled_samples:
        return None
    return Violation(
        "spec.sampling.globalBatchSize",
        f"is {global_batch_size}, but the clients hold only {pooled_samples} samples; make it smaller",
    )
