"""``pslgs plan``: what a job will do and cost, before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.options import FormatOption, JobArgument, OutputFormat, SetOption, print_json
from pslgs.process.machine import DATASET_CACHE
from pslgs.spec import load_job


def plan(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of clients.")] = None,
    bandwidth: Annotated[
        str, typer.Option(help="Bandwidth of a client's link in each direction.")
    ] = "100Mbps",
    latency: Annotated[str, typer.Option(help="Latency of a client's link, one way.")] = "20ms",
    client_memory: Annotated[str | None, typer.Option(help="Memory of a client, such as 2GiB.")] = None,
    client_flops: Annotated[
        str | None,
        typer.Option(help="Speed of a client, such as 50G (FLOP/s); measured on this machine if not given."),
    ] = None,
    server_flops: Annotated[
        str | None,
        typer.Option(help="Speed of the server, such as 5T (FLOP/s); measured on this machine if not given."),
    ] = None,
    dataset_sizes: Annotated[
        str | None,
        typer.Option(
            help="Samples of each client, such as 1000,2000. One number is the size of the common dataset if "
            "the job has a partition, and else of each client. The job's data are not read."
        ),
    ] = None,
    all_cuts: Annotated[  # noqa: FBT002 - an option of a command
        bool, typer.Option("--all-cuts", help="Compare cuts after all layers instead of about a dozen.")
    ] = False,
    cache: Annotated[Path, typer.Option(help="Folder for converted datasets.")] = DATASET_CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Predict batches, traffic, memory and time of a job, and recommend a cut layer."""
    from rich.console import Console

    from pslgs.costs.render import show
    from pslgs.costs.result import plan_document
    from pslgs.launch import plan_job

    manifest = load_job(job, overrides or ())
    with Console(stderr=True).status("Reading the data and profiling the network"):
        found = plan_job.plan(
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
        print_json(plan_document(found))
    else:
        show(found, Console(highlight=False))
