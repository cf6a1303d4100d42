"""How a server listens: its port and its credentials."""

import errno
import socket
from typing import Any

import grpc

from pslgs.identity.identity import Identity


def bind(server: Any, address: str, identity: Identity | None) -> int:  # noqa: ANN401 - grpc.aio has no types
    """Let ``server`` listen at ``address`` (``host:port``), with mutual TLS if it has an identity.

    Returns:
        The port, which the system chose if the address had 0.

    Raises:
        OSError: that is not possible; ``errno`` is EADDRINUSE where another process listens there.
    """
    try:
        if identity is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, _credentials(identity)))
    except RuntimeError as error:
        raise _reason(address) from error


def _credentials(identity: Identity) -> Any:  # noqa: ANN401 - as above
    return grpc.ssl_server_credentials(
        [(identity.private_key_pem, identity.certificate_pem)],
        root_certificates=identity.ca_pem,
        require_client_auth=True,
    )


def _reason(address: str) -> OSError:
    # gRPC does not say why it cannot listen, so the system is asked.
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(target)
            probe.listen()
    except OSError as error:
        return OSError(error.errno, error.strerror, address)
    return OSError(errno.EADDRNOTAVAIL, "gRPC cannot listen there", address)
