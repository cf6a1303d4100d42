"""Names of a job's objects in a cluster that its operator gives, and by which the command line finds them."""

from typing import Final

GROUP: Final = "pslgs.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "splittrainingjobs"

JOB_LABEL: Final = f"{GROUP}/job"
ROLE_LABEL: Final = f"{GROUP}/role"
CLIENT_ANNOTATION: Final = f"{GROUP}/client-id"

SERVER: Final = "server"
CLIENT: Final = "client"
"""Roles, and the names of the containers."""

RUNS_FOLDER: Final = "/var/lib/pslgs"


def checkpoints_name(job: str) -> str:
    """Name the claim of checkpoints and model."""
    return f"{job}-checkpoints"


def run_folder(job: str) -> str:
    """Where the server keeps checkpoints and model: a folder of its own, since jobs may share a claim."""
    return f"{RUNS_FOLDER}/{job}"
