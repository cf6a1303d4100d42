"""``pslgs model``: copy the trained model out of a cluster."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.cluster_access import access_cluster
from pslgs.cli.options import (
    ContextOption,
    JobOnClusterArgument,
    KubeconfigOption,
    NamespaceOption,
    ReaderImageOption,
)
from pslgs.spec import InputError
from pslgs.spec.result_files import BEST_FILE, MODEL_FILE


class KeptModel(StrEnum):
    """A model that a run leaves as one file."""

    FINAL = "final"
    BEST = "best"


def model(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobOnClusterArgument,
    namespace: NamespaceOption = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; default: JOB.safetensors.")
    ] = None,
    which: Annotated[
        KeptModel,
        typer.Option("--model", help="Model to copy: final (at the end of the training) or best."),
    ] = KeptModel.FINAL,
    image: ReaderImageOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Copy the trained model of a job out of the cluster, from its server or from its volume."""
    from rich.console import Console

    from pslgs.cluster.run_files import run_files
    from pslgs.cluster.training_job import read_job
    from pslgs.launch.progress_bars import transfer_bars

    target = output or Path(f"{job}.safetensors")
    if not target.absolute().parent.is_dir():
        raise InputError.at("--output", f"is in '{target.parent}', which is no folder")
    access = access_cluster(kubeconfig, context, namespace)
    found = read_job(access, job)
    name = MODEL_FILE if which is KeptModel.FINAL else BEST_FILE
    with transfer_bars(Console(stderr=True)) as bars:
        task = bars.add_task("Looking for the model", total=None)
        with run_files(access, found, image) as files:
            if not files.exists(name):
                raise InputError.at("--model", _missing(which, ended=found.has_ended))
            bars.update(task, description=name)
            size = files.copy(
                name, target, lambda done, total: bars.update(task, completed=done, total=total)
            )
    typer.echo(f"{target}: {size:,} bytes")
    typer.echo(f'  next: pslgs predict {target} FILE…, or pslgs.load_model("{target}") in Python')


def _missing(which: KeptModel, *, ended: bool) -> str:
    if which is KeptModel.BEST:
        return "is best, but no evaluation has left such a model (spec.checkpoint.best)"
    if ended:
        return "is final, but the job has left no model; pslgs status tells how it ended"
    return "is final, but the training has not ended; --model best copies the model of the best evaluation"
