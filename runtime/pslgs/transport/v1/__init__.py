"""Version 1 of the messages; ``training_pb2`` is generated from ``training.proto``."""
