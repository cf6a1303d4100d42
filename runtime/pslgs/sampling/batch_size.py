"""Check of the global batch size against the number of samples."""

from pslgs.spec.errors import Violation


def batch_size_violation(global_batch_size: int, pooled_samples: int) -> Violation | None:
    """Return a violation if all clients together hold fewer samples than one global batch; otherwise None."""
    if global_batch_size <= pooled_samples:
        return None
    return Violation(
        "spec.sampling.globalBatchSize",
        f"is {global_batch_size}, but the clients hold only {pooled_samples} samples; make it smaller",
    )
