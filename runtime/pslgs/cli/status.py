"""``pslgs status``: show the state of a job on a cluster."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pslgs.cli.cluster_access import access_cluster
from pslgs.cli.options import (
    ContextOption,
    FormatOption,
    JobOnClusterArgument,
    KubeconfigOption,
    NamespaceOption,
    OutputFormat,
    print_json,
)
from pslgs.cli.printing import print_pairs
from pslgs.spec import ExitCode

if TYPE_CHECKING:
    from pslgs.cluster.access import Access
    from pslgs.cluster.training_job import TrainingJob

_POLL_SECONDS: Final = 2.0
_NAMES: Final = 11
"""Width of the column of names."""


def status(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobOnClusterArgument,
    namespace: NamespaceOption = None,
    watch: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--watch", "-w", help="Show the progress until the job has ended; exit with 1 if it has failed."
        ),
    ] = False,
    output_format: FormatOption = OutputFormat.TEXT,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show the state of a job on a cluster: its phase, progress and clients, and what is wrong."""
    from pslgs.cluster.progress import FollowedStatus
    from pslgs.cluster.training_job import read_job

    access = access_cluster(kubeconfig, context, namespace)
    if watch:
        raise typer.Exit(_watch(access, job, output_format))
    found = read_job(access, job)
    shown = FollowedStatus(access).look(found)
    if output_format is OutputFormat.JSON:
        print_json(_document(access, found, shown))
        return
    print_pairs(_lines(access, found, shown), _NAMES)


def _watch(access: "Access", name: str, output_format: OutputFormat) -> ExitCode:
    """Show the progress until the job has ended, as `pslgs run` does."""
    from rich.console import Console

    from pslgs.cluster.access import ClusterError
    from pslgs.cluster.progress import FollowedStatus
    from pslgs.cluster.training_job import read_job
    from pslgs.launch.progress import ProgressView

    followed = FollowedStatus(access)
    job = read_job(access, name)
    shown = followed.look(job)
    said: tuple[str, ...] = ()
    console = Console(highlight=False, stderr=output_format is OutputFormat.JSON)
    with ProgressView(console) as view:
        while True:
            try:
                job = read_job(access, name)
                shown = followed.look(job)
            except ClusterError as error:
                told: tuple[str, ...] = (f"{error}; trying again",)
            else:
                told = tuple(job.told())
                if output_format is OutputFormat.JSON:
                    typer.echo(json.dumps(_document(access, job, shown), ensure_ascii=False))
                else:
                    view.show({**shown, "message": shown["message"] if shown["message"] not in told else ""})
            for line in told if output_format is OutputFormat.TEXT else ():
                if line not in said:
                    view.note(line)
            said = told
            if job.has_ended:
                break
            time.sleep(_POLL_SECONDS)
    if output_format is OutputFormat.TEXT:
        print_pairs(_lines(access, job, shown), _NAMES)
    return ExitCode.FINISHED if job.has_succeeded else ExitCode.INTERNAL_ERROR


def _document(access: "Access", job: "TrainingJob", shown: Mapping[str, Any]) -> dict[str, object]:
    server = job.server
    return {
        "job": job.name,
        "namespace": access.namespace,
        "phase": job.phase,
        "ended": job.has_ended,
        "succeeded": job.has_succeeded,
        "conditions": list(job.conditions),
        "server": None if server is None else {"pod": server.name, "node": server.node},
        "training": dict(shown),
    }


def _lines(access: "Access", job: "TrainingJob", shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from pslgs.launch.progress import figures, position

    yield "job", f"{job.name} in the namespace {access.namespace}"
    yield "phase", job.phase
    if shown["steps"]:
        yield "training", position(shown)
        yield "figures", ", ".join(figures(shown))
    lost = shown["clients"].get("lost", [])
    if lost:
        yield "lost", ", ".join(lost)
    if job.server is not None:
        place = f" on {job.server.node}" if job.server.node else ""
        yield "server", f"{job.server.name}{place}"
    told = list(job.told())
    for line in told:
        yield "condition", line
    if shown["message"] and shown["message"] not in "; ".join(told):
        yield "message", shown["message"]
