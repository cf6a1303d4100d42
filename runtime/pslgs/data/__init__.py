"""Datasets: formats, transforms, and the local batches of a client in their order."""
