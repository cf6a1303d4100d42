"""``pslgs server``: the entry point of the server's container."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.container import (
    CacheOption,
    IdentityOption,
    TerminationMessageOption,
    ThreadsOption,
    WithParentOption,
    endpoint,
    leaving,
    required_identity,
    run_process,
)
from pslgs.cli.options import DeviceOption, JobArgument, SetOption
from pslgs.server.options import CLIENT_SERIES, ServerOptions
from pslgs.spec import load_job


def server(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    run: Annotated[Path, typer.Option(help="Folder of journal, checkpoints and model.", readable=False)],
    clients: Annotated[int, typer.Option(min=1, help="Clients that the start waits for.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT for the clients.")] = "[::]:7443",
    http: Annotated[str, typer.Option(help="HOST:PORT of metrics, health and status.")] = "[::]:8080",
    identity: IdentityOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    cache: CacheOption = Path("/tmp/pslgs"),  # noqa: S108 - a container's scratch space
    client_series: Annotated[
        int, typer.Option(min=0, help="Clients that get metrics of their own; the others are in the totals.")
    ] = CLIENT_SERIES,
    termination_message: TerminationMessageOption = None,
    with_parent: WithParentOption = False,  # noqa: FBT002
    overrides: SetOption = None,
) -> None:
    """Run a job's server; one that was interrupted goes on from its last checkpoint."""
    with leaving(termination_message) as words:
        manifest = load_job(job, overrides or ())

        from pslgs.server.main import run_server

        options = ServerOptions(
            listen=listen,
            http=endpoint(http),
            identity=required_identity(identity, manifest.spec.transport.tls),
            run=run,
            cache=cache,
            expected_clients=clients,
            device=device,
            client_series=client_series,
            with_parent=with_parent,
        )
        words.ending = run_process(run_server(manifest, options, words), threads)
    raise typer.Exit(words.ending.exit_code)
