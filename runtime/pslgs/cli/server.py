"""``pslgs server``: the entry point of the server's container."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.manifest import JobArgument, SetOption
from pslgs.cli.process import (
    CacheOption,
    IdentityOption,
    ThreadsOption,
    WithParentOption,
    endpoint,
    required_identity,
    run_process,
)
from pslgs.spec import load_job


def server(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    run: Annotated[Path, typer.Option(help="Folder of journal, checkpoints and model.")],
    clients: Annotated[int, typer.Option(min=1, help="Clients that the start waits for.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT for the clients.")] = "[::]:7443",
    http: Annotated[str, typer.Option(help="HOST:PORT of metrics, health and status.")] = "[::]:8080",
    identity: IdentityOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda …")] = "auto",
    threads: ThreadsOption = 0,
    cache: CacheOption = Path("/tmp/pslgs"),  # noqa: S108 - a container's scratch space
    with_parent: WithParentOption = False,  # noqa: FBT002
    overrides: SetOption = None,
) -> None:
    """Run a job's server; one that was interrupted goes on from its last checkpoint."""
    manifest = load_job(job, overrides or ())

    from pslgs.server.options import ServerOptions
    from pslgs.server.serve import serve

    options = ServerOptions(
        listen=listen,
        http=endpoint(http),
        identity=required_identity(identity, manifest.spec.transport.tls),
        run=run,
        cache=cache,
        expected_clients=clients,
        device=device,
        with_parent=with_parent,
    )
    raise typer.Exit(run_process(serve(manifest, options), threads))
