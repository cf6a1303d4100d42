"""``pslgs plan``: what a job will do and cost, before anything runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pslgs.cli.formats import FormatOption, OutputFormat, print_json
from pslgs.cli.manifest import JobArgument, SetOption
from pslgs.spec import InputError, JobSpec, parse_job
from pslgs.spec.document import read_document
from pslgs.spec.overrides import with_overrides

if TYPE_CHECKING:
    from pslgs.planning.subject import Outlook, Readable

_CACHE = Path("~/.cache/pslgs")


def plan(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobArgument,
    clients: Annotated[int | None, typer.Option(min=1, help="Number of clients.")] = None,
    bandwidth: Annotated[str, typer.Option(help="Of a client's link in each direction.")] = "100Mbps",
    latency: Annotated[str, typer.Option(help="Of a client's link, one way.")] = "20ms",
    client_memory: Annotated[str | None, typer.Option(help="Memory that a client has, such as 2GiB.")] = None,
    client_flops: Annotated[
        str | None,
        typer.Option(help="Speed of a client, such as 50G (FLOP/s); without it, this machine is measured."),
    ] = None,
    server_flops: Annotated[str | None, typer.Option(help="Speed of the server, likewise.")] = None,
    dataset_sizes: Annotated[
        str | None,
        typer.Option(
            help="Samples of each client, such as 1000,2000, or one number: of each client, or of the "
            "dataset that the job's partition deals out. The job's data are not read then."
        ),
    ] = None,
    all_cuts: Annotated[bool, typer.Option("--all-cuts", help="Look at every layer.")] = False,  # noqa: FBT002
    cache: Annotated[Path, typer.Option(help="Folder for converted datasets.")] = _CACHE,
    output_format: FormatOption = OutputFormat.TEXT,
    overrides: SetOption = None,
) -> None:
    """Predict batches, traffic, memory and time of a job, and recommend a cut layer."""
    from rich.console import Console

    from pslgs.launch import sites
    from pslgs.planning import plan as planning
    from pslgs.planning import quantities as read
    from pslgs.planning.document import to_document
    from pslgs.planning.subject import Outlook
    from pslgs.planning.tables import show
    from pslgs.planning.timing import Link

    outlook = Outlook(
        link=Link(read.parse_bandwidth(bandwidth), read.parse_latency(latency)),
        client_memory=read.parse_memory(client_memory) if client_memory else None,
        client_flops=read.parse_speed(client_flops, "--client-flops") if client_flops else None,
        server_flops=read.parse_speed(server_flops, "--server-flops") if server_flops else None,
        dataset_sizes=read.parse_sizes(dataset_sizes) if dataset_sizes else (),
        clients=clients,
        all_cuts=all_cuts,
    )
    document = with_overrides(read_document(job), overrides or ())
    document = with_overrides(document, sites.client_overrides(parse_job(document).spec, clients))
    manifest = parse_job(document)
    with Console(stderr=True).status("Looking at the data and the network"):
        found = planning.plan(manifest, outlook, _readable(manifest.spec, outlook, cache.expanduser()))
    if output_format is OutputFormat.JSON:
        print_json(to_document(found))
    else:
        show(found, Console(highlight=False))


def _readable(spec: JobSpec, outlook: "Outlook", cache: Path) -> "Readable":
    """Open the clients' data; a plan can do without them, and often they lie elsewhere."""
    from pslgs.data.opening import open_all_training_data
    from pslgs.launch.sites import sites
    from pslgs.planning.subject import Readable

    if outlook.dataset_sizes:
        return Readable()
    try:
        names = [site.client_id for site in sites(spec, outlook.clients)]
        return Readable(open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=cache))
    except InputError as error:
        return Readable(obstacle="; ".join(map(str, error.violations)))
