"""Whole jobs on this machine: preflight checks, certificates, processes and live progress."""
