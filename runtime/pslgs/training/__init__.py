"""Training: client and server computations of a step, optimizer, evaluation and checkpoints."""
