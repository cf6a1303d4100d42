"""``pslgs client``: the entry point of the client's container."""

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
from pslgs.cli.options import JobArgument, SetOption
from pslgs.process.machine import available_cores
from pslgs.spec import load_job

StayOption = Annotated[
    bool, typer.Option("--stay", help="Look for the server again after one that was interrupted.")
]


def client(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    client_id: Annotated[str, typer.Option("--id", help="The client's id, as in its certificate.")],
    server: Annotated[str, typer.Option(help="HOST:PORT of the server.")],
    share: Annotated[
        int | None, typer.Option(min=0, help="Number of this client's share of a partition, from 0.")
    ] = None,
    http: Annotated[str | None, typer.Option(help="HOST:PORT of metrics and health.")] = None,
    identity: IdentityOption = None,
    threads: ThreadsOption = 0,
    cache: CacheOption = Path("/tmp/pslgs"),  # noqa: S108 - a container's scratch space
    patience: Annotated[float, typer.Option(min=1, help="Seconds to look for the server.")] = 300,
    stay: StayOption = False,  # noqa: FBT002
    termination_message: TerminationMessageOption = None,
    with_parent: WithParentOption = False,  # noqa: FBT002
    overrides: SetOption = None,
) -> None:
    """Take part in a job with the data at this node."""
    with leaving(termination_message) as words:
        manifest = load_job(job, overrides or ())

        from pslgs.client.main import ClientOptions, run_client

        options = ClientOptions(
            client_id=client_id,
            server=server,
            identity=required_identity(identity, manifest.spec.transport.tls),
            cache=cache,
            cores=threads or available_cores(),
            partition_index=share,
            http=endpoint(http) if http else None,
            patience=patience,
            stays=stay,
            with_parent=with_parent,
        )
        words.ending = run_process(run_client(manifest.spec, options), threads)
    raise typer.Exit(words.ending.exit_code)
