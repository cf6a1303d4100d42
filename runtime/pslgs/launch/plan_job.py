"""Plan a job with the data that this machine can read."""

from pathlib import Path

from pslgs.costs import plan as planning
from pslgs.costs import quantities as read
from pslgs.costs.inputs import AvailableData, Environment
from pslgs.costs.result import Plan
from pslgs.costs.time_model import Link
from pslgs.data.loading import open_all_training_data
from pslgs.launch.local_clients import local_clients, partition_overrides
from pslgs.process.machine import DATASET_CACHE
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec, SplitTrainingJob
from pslgs.spec.manifest import parse_job, with_overrides


def plan(  # noqa: PLR0913 - what a notebook or the command line may want to change
    job: SplitTrainingJob,
    *,
    clients: int | None = None,
    bandwidth: str = "100Mbps",
    latency: str = "20ms",
    client_memory: str | None = None,
    client_flops: str | None = None,
    server_flops: str | None = None,
    dataset_sizes: str | None = None,
    all_cuts: bool = False,
    cache: Path = DATASET_CACHE,
) -> Plan:
    """Predict batches, traffic, memory and time of a job, and recommend a cut layer.

    Args:
        job: The manifest.
        clients: Number of clients, among which a partition divides the dataset; None for the manifest's.
        bandwidth: Bandwidth of a client's link in each direction.
        latency: One-way latency of a client's link.
        client_memory: Memory of a client, such as ``2GiB``; None if unknown.
        client_flops: Speed of a client in FLOP/s, such as ``50G``; None to measure this machine.
        server_flops: Speed of the server in FLOP/s, of one GPU if it has several; None to measure this
            machine.
        dataset_sizes: Number of samples of each client, such as ``1000,2000``, or a single number; the job's
            data are not read then.
        all_cuts: Whether to compare cuts after all layers instead of about a dozen.
        cache: Folder that caches converted datasets.

    Raises:
        InputError: the job or one of the arguments cannot be used.
    """
    environment = Environment(
        link=Link.symmetric(read.parse_bandwidth(bandwidth), read.parse_latency(latency)),
        client_memory=read.parse_memory(client_memory) if client_memory else None,
        client_flops=read.parse_speed(client_flops, "--client-flops") if client_flops else None,
        server_flops=read.parse_speed(server_flops, "--server-flops") if server_flops else None,
        dataset_sizes=read.parse_sizes(dataset_sizes) if dataset_sizes else (),
        clients=clients,
        all_cuts=all_cuts,
    )
    if overrides := partition_overrides(job.spec, clients):
        document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        job = parse_job(with_overrides(document, overrides))
    return planning.plan(job, environment, _available_data(job.spec, environment, cache.expanduser()))


def _available_data(spec: JobSpec, environment: Environment, cache: Path) -> AvailableData:
    """Open the clients' data, which are optional for a plan because they are often on other machines."""
    if environment.dataset_sizes:
        return AvailableData()
    try:
        names = [client.client_id for client in local_clients(spec, environment.clients)]
        return AvailableData(open_all_training_data(spec.data, names, seed=spec.sampling.seed, cache=cache))
    except InputError as error:
        return AvailableData(obstacle="; ".join(map(str, error.violations)))
