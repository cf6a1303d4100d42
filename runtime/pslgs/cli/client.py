"""``pslgs client``: the entry point of the client's container."""

import logging
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
from pslgs.cli.options import CacheOption, JobArgument, SetOption
from pslgs.process.machine import available_cores

StayOption = Annotated[
    bool, typer.Option("--stay", help="Reconnect after the server was interrupted, instead of exiting.")
]


def client(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    client_id: Annotated[str, typer.Option("--id", help="Id of this client, as in its certificate.")],
    server: Annotated[str, typer.Option(help="HOST:PORT of the server.")],
    share: Annotated[
        int | None,
        typer.Option(min=0, help="Index of this client's share of a partitioned dataset, from 0."),
    ] = None,
    http: Annotated[
        str | None, typer.Option(help="HOST:PORT to serve metrics and health at; default: none.")
    ] = None,
    identity: IdentityOption = None,
    threads: ThreadsOption = 0,
    clients_per_node: Annotated[
        int,
        typer.Option(
            min=1,
            envvar="PSLGS_CLIENTS_PER_NODE",
            help="Number of clients that share the cores; each computes with its part.",
        ),
    ] = 1,
    cache: CacheOption = CONTAINER_CACHE,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds after which to give up connecting to the server.")
    ] = 300,
    stay: StayOption = False,  # noqa: FBT002
    termination_message: TerminationMessageOption = None,
    with_parent: WithParentOption = False,  # noqa: FBT002
    required_fields: RequiredFieldsOption = None,
    overrides: SetOption = None,
) -> None:
    """Run a client of a job on the data of this node."""
    with write_termination_message(termination_message) as message:
        manifest, notice = load_manifest(job, overrides, required_fields)
        if notice:
            logging.getLogger(__name__).warning("%s", notice)

        from pslgs.client.main import ClientOptions, run_client

        cores = max(1, (threads or available_cores()) // clients_per_node)
        options = ClientOptions(
            client_id=client_id,
            server=server,
            identity=required_identity(identity, manifest.spec.transport.tls),
            cache=cache,
            cores=cores,
            partition_index=share,
            http=parse_endpoint(http) if http else None,
            connect_timeout_seconds=patience,
            reconnect_after_interruption=stay,
            with_parent=with_parent,
        )
        message.exit_status = run_process(run_client(manifest.spec, options), cores)
    raise typer.Exit(message.exit_status.exit_code)
