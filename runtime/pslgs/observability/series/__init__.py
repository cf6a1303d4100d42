"""The Prometheus series of a server by what they tell: progress, quality, faults, clients."""
