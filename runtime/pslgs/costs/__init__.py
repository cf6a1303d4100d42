"""What a job will cost, found out before anything runs: batches, traffic and time for each cut layer."""
