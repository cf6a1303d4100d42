"""Training in one process, without a network: the same coordinator and the same halves of a step."""
