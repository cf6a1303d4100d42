"""The mathematics of sampling: schedules, batch deviation and its bounds, partitions, derived randomness."""
