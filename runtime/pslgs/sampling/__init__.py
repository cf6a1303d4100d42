"""Sampling: batch schedules, batch deviation and its bounds, partitions, and derived random seeds."""
