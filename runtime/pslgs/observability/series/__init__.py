"""Prometheus series of a server, by topic: progress, quality, faults, clients."""
