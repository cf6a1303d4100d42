"""A whole job on this machine: checks, certificates, processes, progress, report."""
