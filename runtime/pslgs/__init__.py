"""Parallel split learning with global sampling (arXiv 2407.15738)."""
