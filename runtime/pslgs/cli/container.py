"""Options and start-up that the entry points of both containers share."""

import asyncio
import logging
import os
import resource
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pslgs.cli.errors import ending_of
from pslgs.process.machine import available_cores
from pslgs.process.signals import StoppedEarly, stopping_early
from pslgs.process.termination_message import Ending, TerminationMessage
from pslgs.spec import ExitCode, InputError, Tls

KIB_PER_MIB = 1024

IdentityOption = Annotated[
    Path | None, typer.Option(help="Folder with tls.crt, tls.key and ca.crt; needed unless TLS is disabled.")
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Cores to compute with; 0 takes all.")]
CacheOption = Annotated[Path, typer.Option(help="Folder for converted datasets.")]
TerminationMessageOption = Annotated[
    Path | None,
    typer.Option(help="File for the last words, JSON: exit code, message and, of a server, its status."),
]
WithParentOption = Annotated[
    bool, typer.Option("--with-parent", help="Stop when the process that started this one ends.", hidden=True)
]


@contextmanager
def leaving(path: Path | None) -> Iterator[TerminationMessage]:
    """Write the process's last words to ``path`` when the block ends, whatever ends it."""
    words = TerminationMessage()
    try:
        with stopping_early():
            yield words
    except StoppedEarly as stopped:
        words.ending = Ending(ExitCode.INTERRUPTED, str(stopped))
        raise
    except Exception as error:
        words.ending = ending_of(error)
        raise
    finally:
        if path is not None:
            words.write_to(path)


def run_process(work: Coroutine[Any, Any, Ending], threads: int) -> Ending:
    """Run a container's work on ``threads`` cores, logging to stderr."""
    from pslgs.training.torch_thread import configure_torch

    # gRPC would tell of every connection that a peer closes; what matters of it we tell ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    configure_torch(threads or available_cores())
    try:
        return asyncio.run(work)
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        logging.getLogger(__name__).info("peak memory %d MiB", peak // KIB_PER_MIB)


def endpoint(address: str) -> tuple[str, int]:
    """Take ``HOST:PORT`` apart; an IPv6 host stands in brackets.

    Raises:
        InputError: it has another form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError.at("", f"'{address}' is no address of the form HOST:PORT, such as 0.0.0.0:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def required_identity(folder: Path | None, tls: Tls) -> Path | None:
    """Return the folder of the certificate, None where the manifest disables TLS.

    Raises:
        InputError: the manifest asks for TLS and there is no folder.
    """
    if tls is Tls.DISABLED:
        return None
    if folder is None:
        raise InputError.at(
            "spec.transport.tls", "is Mutual; give --identity, a folder with tls.crt, tls.key and ca.crt"
        )
    return folder
