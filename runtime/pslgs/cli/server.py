"""``pslgs server``: the entry point of the server's container."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.container import (
    CONTAINER_CACHE,
    IdentityOption,
    RequiredFieldsOption,
    TerminationMessageOption,
    ThreadsOption,
    WithParentOption,
    load_manifest,
    parse_endpoint,
    required_identity,
    run_process,
    write_termination_message,
)
from pslgs.cli.options import CacheOption, DeviceOption, JobArgument, SetOption
from pslgs.server.options import CLIENT_SERIES, ServerOptions
from pslgs.spec import ExitCode


def server(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    run: Annotated[
        Path, typer.Option(help="Folder of the run: journal, checkpoints and model.", readable=False)
    ],
    clients: Annotated[int, typer.Option(min=1, help="Number of clients that the job expects.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT to accept clients at.")] = "[::]:7443",
    http: Annotated[
        str, typer.Option(help="HOST:PORT to serve metrics, health and status at.")
    ] = "[::]:8080",
    identity: IdentityOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    cache: CacheOption = CONTAINER_CACHE,
    client_series: Annotated[
        int,
        typer.Option(
            min=0,
            envvar="PSLGS_CLIENT_SERIES",
            help="Maximum number of clients with metrics of their own; further ones count in totals.",
        ),
    ] = CLIENT_SERIES,
    termination_message: TerminationMessageOption = None,
    with_parent: WithParentOption = False,  # noqa: FBT002
    job_uid: Annotated[
        str, typer.Option(envvar="PSLGS_JOB_UID", help="The uid of the SplitTrainingJob, in a cluster.")
    ] = "",
    required_fields: RequiredFieldsOption = None,
    overrides: SetOption = None,
) -> None:
    """Run the server of a job; after an interruption it resumes from the latest checkpoint."""
    with write_termination_message(termination_message) as message:
        manifest, notice = load_manifest(job, overrides, required_fields)

        from pslgs.server.main import run_server

        options = ServerOptions(
            listen=listen,
            http=parse_endpoint(http),
            identity=required_identity(identity, manifest.spec.transport.tls),
            run=run,
            cache=cache,
            expected_clients=clients,
            device=device,
            client_series=client_series,
            with_parent=with_parent,
            job_uid=job_uid,
            notice=notice,
        )
        message.exit_status = run_process(run_server(manifest, options, message), threads)
    code, reason = message.exit_status
    if code not in {ExitCode.FINISHED, ExitCode.INTERRUPTED}:
        typer.echo(f"error: {reason}", err=True)
    raise typer.Exit(code)
