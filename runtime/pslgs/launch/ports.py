"""Ports of this machine's loopback interface."""

import socket

from pslgs.spec import InputError


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int, option: str) -> None:
    """Make sure that nobody listens at a port of the loopback interface.

    Raises:
        InputError: somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError.at(
                option, f"port {port} cannot be listened at ({error.strerror}); choose another one, or 0"
            ) from error
