"""Strategies side by side: the same job simulated with each of them, several times."""
