"""How a server listens: its port and its credentials."""

import errno
import socket
from typing import Any

import grpc

from pslgs.identity.identity import Identity
from pslgs.identity.renewal import IdentitySource


def bind(server: Any, address: str, identity: IdentitySource | None) -> int:  # noqa: ANN401 - grpc.aio has no types
    """Let ``server`` listen at ``address`` (``host:port``), with mutual TLS if it has an identity.

    A renewed identity serves new connections; those that exist keep the one they were made with.

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


def _credentials(source: IdentitySource) -> Any:  # noqa: ANN401 - as above
    served = source()

    def renewed() -> Any:  # noqa: ANN401 - as above
        """Called by gRPC, in a thread of its own, for each new connection; None changes nothing."""
        nonlocal served
        before, served = served, source()
        return None if served == before else _configuration(served)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served), renewed, require_client_authentication=True
    )


def _configuration(identity: Identity) -> Any:  # noqa: ANN401 - as above
    return grpc.ssl_server_certificate_configuration(
        [(identity.private_key_pem, identity.certificate_pem)], root_certificates=identity.ca_pem
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
