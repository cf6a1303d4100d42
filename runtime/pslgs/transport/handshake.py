"""The handshake of a session: checks a client's Hello against its certificate."""

from collections.abc import Sequence

from pslgs.identity.identity import DNS_NAME_RULE, is_dns_name
from pslgs.transport.errors import IdentityMismatch, MissingIdentity, ProtocolViolation, VersionMismatch
from pslgs.transport.messages import decode_frames
from pslgs.transport.settings import PROTOCOL_VERSION
from pslgs.transport.v1.training_pb2 import Hello


def check_hello(message: bytes, certified: Sequence[str] | None) -> Hello:
    """Return the Hello in the first message of a client that may open a session.

    Args:
        message: First message of the client.
        certified: Names in the client's certificate; None if TLS is disabled, so that the client id is not
            verified.

    Raises:
        ProtocolViolation: the message is not a single Hello, or its client id is not a DNS name.
        VersionMismatch: the client uses another version of the protocol.
        MissingIdentity: the certificate contains no name.
        IdentityMismatch: the client id is not the only name in the certificate.
    """
    header, *others = (frame.header for frame in decode_frames(message))
    body = header.WhichOneof("body")
    if body != "hello" or others:
        raise ProtocolViolation(f"A stream must begin with a hello alone and not with {body}.")
    hello = header.hello
    if hello.protocol != PROTOCOL_VERSION:
        raise VersionMismatch(
            f"The client speaks version {hello.protocol} of the protocol and the server version "
            f"{PROTOCOL_VERSION}; give both the same image."
        )
    if not is_dns_name(hello.client_id):
        raise ProtocolViolation(f"The client id {hello.client_id[:300]!r} {DNS_NAME_RULE}.")
    if certified is not None:
        _check_certificate(hello.client_id, certified)
    return hello


def _check_certificate(client_id: str, certified: Sequence[str]) -> None:
    if not certified:
        raise MissingIdentity("The client's certificate has no DNS name; issue it for the client's id.")
    if list(certified) != [client_id]:
        raise IdentityMismatch(f"The certificate is for {', '.join(certified)} and not for {client_id}.")
