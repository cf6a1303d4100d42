"""``pslgs report``: write the HTML report of a run."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.cluster_access import access_cluster
from pslgs.cli.options import ContextOption, KubeconfigOption, ReaderImageOption
from pslgs.spec import InputError


def report(  # noqa: PLR0913, PLR0917 - the options of a command
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Folder of the run; with --namespace, the name of a job on a cluster."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write; default: report.html in the run's folder, or JOB-report.html for a job on a "
            "cluster.",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAMESPACE",
            help="Namespace of the job; this makes RUN the name of a job on a cluster, as --context does.",
        ),
    ] = None,
    image: ReaderImageOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Write the report of a run, here or on a cluster, finished or not, as one self-contained HTML file."""
    from pslgs.reporting.page import write_report

    if namespace is None and context is None and kubeconfig is None:
        if not Path(run).is_dir():
            raise InputError.at(
                "RUN", f"is '{run}', which is no folder; give --namespace for a job on a cluster"
            )
        target = output or Path(run) / "report.html"
        write_report(Path(run), target)
    else:
        from rich.console import Console

        from pslgs.cluster.records import copy_records
        from pslgs.cluster.training_job import read_job

        target = output or Path(f"{run}-report.html")
        access = access_cluster(kubeconfig, context, namespace)
        with tempfile.TemporaryDirectory() as copied:
            with Console(stderr=True).status("Copying the records of the run"):
                copy_records(access, read_job(access, run), Path(copied), image)
            write_report(Path(copied), target)
    typer.echo(str(target))
