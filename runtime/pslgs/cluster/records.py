"""The records of a job's run, from which its report is made."""

from pathlib import Path

import yaml

from pslgs.cluster.access import Access
from pslgs.cluster.run_files import run_files
from pslgs.cluster.training_job import TrainingJob
from pslgs.reporting.page import MANIFEST
from pslgs.spec.errors import InputError
from pslgs.telemetry.journal import FILE_NAME


def copy_records(access: Access, job: TrainingJob, folder: Path, image: str | None = None) -> None:
    """Write the manifest and the journal of a job's run into a folder, as in that of a local run.

    Args:
        access: The cluster.
        job: The job.
        folder: Folder to write to.
        image: Image of the pod that mounts the job's volume; None for that of the server.

    Raises:
        InputError: the job keeps no files, or has no records yet.
        ClusterError: the cluster refuses, or the connection breaks.
    """
    document = job.document
    manifest = {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "metadata": {"name": job.name},
        "spec": document["spec"],
    }
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True))
    with run_files(access, job, image) as files:
        if not files.exists(FILE_NAME):
            raise InputError.at("JOB", f"'{job.name}' has no records yet; see pslgs status {job.name}")
        files.copy(FILE_NAME, folder / FILE_NAME, lambda _done, _total: None)
