"""The two halves of a training step, the optimizer over both parts, evaluation and checkpoints."""
