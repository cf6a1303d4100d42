"""Options and start-up that ``pslgs server`` and ``pslgs client``, the containers' commands, share."""

import asyncio
import gc
import logging
import resource
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pslgs.cli.errors import exit_status_of
from pslgs.logs import configure_logging
from pslgs.process.machine import available_cores
from pslgs.process.signals import StoppedEarly, stopping_early
from pslgs.process.tasks import in_background
from pslgs.process.termination_message import ExitStatus, TerminationMessage
from pslgs.spec import ExitCode, InputError, SplitTrainingJob, Tls, load_job
from pslgs.spec.compatibility import load_runtime_job

CONTAINER_CACHE: Final = Path("/tmp/pslgs")  # noqa: S108 - a container's scratch space
_KIB_PER_MIB = 1024

IdentityOption = Annotated[
    Path | None,
    typer.Option(help="Folder with tls.crt, tls.key and ca.crt; required unless TLS is disabled."),
]
ThreadsOption = Annotated[
    int, typer.Option(min=0, help="Number of cores to compute with; 0 uses all available cores.")
]
TerminationMessageOption = Annotated[
    Path | None,
    typer.Option(
        help="File for the termination message: JSON with exit code, message and, for a server, its status."
    ),
]
RequiredFieldsOption = Annotated[
    str | None,
    typer.Option(
        envvar="PSLGS_REQUIRED_FIELDS",
        help="Paths below spec, with spaces between them. If it is set, an unknown field of the manifest is "
        "ignored with a warning unless it is at one of these paths. The operator sets it, because its "
        "version may differ from that of the image. By default, unknown fields are refused.",
        hidden=True,
    ),
]
WithParentOption = Annotated[
    bool, typer.Option("--with-parent", help="Stop when the parent process ends.", hidden=True)
]


@contextmanager
def write_termination_message(path: Path | None) -> Iterator[TerminationMessage]:
    """Provide the process's termination message, and write it to ``path`` however the block ends.

    An exception, or a signal before the process handles signals itself, sets the message's exit status.
    """
    message = TerminationMessage()
    try:
        with stopping_early():
            yield message
    except StoppedEarly as stopped:
        message.exit_status = ExitStatus(ExitCode.INTERRUPTED, str(stopped))
        raise
    except Exception as error:
        message.exit_status = exit_status_of(error)
        raise
    finally:
        if path is not None:
            message.write_to(path)


def load_manifest(
    job: Path, overrides: Sequence[str] | None, required_fields: str | None
) -> tuple[SplitTrainingJob, str]:
    """Load the manifest of a container.

    Returns:
        The job, and a notice of fields that this version does not know and ignores; empty if there are none.

    Raises:
        InputError: the manifest cannot be read or is invalid.
    """
    if required_fields is None:
        return load_job(job, overrides or ()), ""
    manifest, ignored = load_runtime_job(job, overrides or (), required_fields.split())
    if not ignored:
        return manifest, ""
    known = f"pslgs {version('pslgs')}"
    return manifest, f"this image ({known}) does not know these fields and ignores them: {', '.join(ignored)}"


def run_process(main: Coroutine[Any, Any, ExitStatus], threads: int) -> ExitStatus:
    """Run a container's main coroutine with torch on ``threads`` cores (0: all), and log to stderr."""
    from pslgs.training.torch_thread import configure_torch

    configure_logging()
    configure_torch(threads or available_cores())
    # Modules stay for good.  Each full garbage collection would look through all of torch, for a fifth of a
    # second in which the event loop stands still, and a forked process would copy the memory it shares.
    gc.freeze()
    try:
        return asyncio.run(_waking_up(main))
    finally:
        gc.unfreeze()  # some libraries complain about objects that are left at the end of the process
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        logging.getLogger(__name__).info("peak memory %d MiB", peak // _KIB_PER_MIB)


async def _waking_up(main: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    from pslgs.transport.lost_wake_ups import wake_up_regularly

    async with in_background(wake_up_regularly()):
        return await main


def parse_endpoint(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; an IPv6 host is written in brackets.

    Raises:
        InputError: the address has another form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError.at("", f"'{address}' is no address of the form HOST:PORT, such as 0.0.0.0:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def required_identity(folder: Path | None, tls: Tls) -> Path | None:
    """Return the folder of the process's certificate, or None if the manifest disables TLS.

    Raises:
        InputError: the manifest requires TLS and no folder was given.
    """
    if tls is Tls.DISABLED:
        return None
    if folder is None:
        raise InputError.at(
            "spec.transport.tls", "is Mutual; give --identity, a folder with tls.crt, tls.key and ca.crt"
        )
    return folder
