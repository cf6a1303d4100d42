"""The preflight of a run in a process of its own, so that the command itself needs no torch."""

from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

from pslgs.data.left_out import LeftOut
from pslgs.launch.local_clients import LocalClient
from pslgs.process.forked_calls import call_in_process, terminating_calls
from pslgs.spec import InputError, JobSpec


def preflight_in_process(  # noqa: PLR0913, PLR0917 - those of preflight
    context: ForkServerContext,
    spec: JobSpec,
    clients: Sequence[LocalClient],
    cache: Path,
    device: str,
    resumed: Path | None,
) -> Mapping[str, tuple[LeftOut, ...]]:
    """Call `pslgs.launch.preflight.preflight` in a process that is forked from one that has imported torch.

    Args:
        context: Result of `start_fork_server`.
        spec: The job.
        clients: Its clients.
        cache: Folder for converted datasets.
        device: Name of the server's device.
        resumed: Folder of a run to resume, whose checkpoints are checked first; None for a new one.

    Returns:
        Client -> files that are left out of its data; the server is ''.

    Raises:
        InputError: a check failed, or the process ended before it was through.
    """
    with terminating_calls():
        try:
            return call_in_process(context, _preflight, spec, clients, cache, device, resumed).result()
        except BrokenExecutor as error:
            raise InputError.at(
                "",
                "the process that checked the model and the data ended unexpectedly, for instance because "
                "memory ran out; free memory, or use a smaller job, and run the same command again",
            ) from error


def _preflight(
    spec: JobSpec, clients: Sequence[LocalClient], cache: Path, device: str, resumed: Path | None
) -> dict[str, tuple[LeftOut, ...]]:
    from pslgs.launch import preflight  # noqa: PLC0415 - imports torch, which the caller shall not

    has_checkpoint = resumed is not None and preflight.check_resume(resumed, spec)
    return preflight.preflight(spec, clients, cache, device, resumed=has_checkpoint)
