"""``pslgs plan``: predict what a job will do and cost before it runs."""

import os
from typing import Annotated

import typer

from pslgs.cli.options import CacheOption, FormatOption, JobArgument, OutputFormat, SetOption, print_json
from pslgs.process.machine import DATASET_CACHE
from pslgs.spec import load_job


def plan(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of clients.")] = None,
    bandwidth: Annotated[
        str, typer.Option(help="Bandwidth of a client's link in each direction.")
    ] = "100Mbps",
    latency: Annotated[str, typer.Option(help="One-way latency of a client's link.")] = "20ms",
    client_memory: Annotated[
        str | None,
        typer.Option(help="Memory of a client, e.g. 2GiB; cuts that need more are not recommended."),
    ] = None,
    client_flops: Annotated[
        str | None,
        typer.Option(help="Speed of a client in FLOP/s, e.g. 50G; default: measured on this machine."),
    ] = None,
    server_flops: Annotated[
        str | None,
        typer.Option(
            help="Speed of the server in FLOP/s, of one GPU if it has several, e.g. 2T; default: measured on "
            "this machine."
        ),
    ] = None,
    dataset_sizes: Annotated[
        str | None,
        typer.Option(
            help="Number of samples of each client, e.g. 1000,2000, or a single number: of every client, or, "
            "with a partition, of the whole dataset. The job's data are not read then."
        ),
    ] = None,
    all_cuts: Annotated[  # noqa: FBT002
        bool, typer.Option("--all-cuts", help="Compare cuts after all layers instead of about a dozen.")
    ] = False,
    cache: CacheOption = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Predict batches, traffic, memory and time of a job, and recommend a cut layer."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    from rich.console import Console

    from pslgs.costs.render import show
    from pslgs.costs.result import plan_document
    from pslgs.launch import plan_job

    manifest = load_job(job, overrides or ())
    with Console(stderr=True).status("Reading the data and profiling the network"):
        result = plan_job.plan(
            manifest,
            clients=clients,
            bandwidth=bandwidth,
            latency=latency,
            client_memory=client_memory,
            client_flops=client_flops,
            server_flops=server_flops,
            dataset_sizes=dataset_sizes,
            all_cuts=all_cuts,
            cache=cache,
        )
    if output_format is OutputFormat.JSON:
        print_json(plan_document(result))
    else:
        show(result, Console(highlight=False))
