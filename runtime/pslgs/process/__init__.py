"""Lifecycle of a job's processes: signals, task groups and termination messages."""
