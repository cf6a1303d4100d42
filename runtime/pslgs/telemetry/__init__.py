"""Observability of a run: records, journal, metrics, status, and the HTTP server that exposes them."""
