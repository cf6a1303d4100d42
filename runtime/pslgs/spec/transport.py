"""Transport settings: compression and encryption of the traffic between clients and server."""

from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel


class Compression(StrEnum):
    """Number formats in which smashed data and cut gradients are transferred."""

    NONE = "None"
    FLOAT16 = "Float16"
    BFLOAT16 = "BFloat16"
    INT8 = "Int8"


class Tls(StrEnum):
    """TLS modes."""

    MUTUAL = "Mutual"
    DISABLED = "Disabled"


class TransportSpec(SpecModel):
    """Compression and encryption of the traffic between clients and server."""

    compression: Compression = Field(
        default=Compression.NONE,
        description="Number format in which smashed data and cut gradients are transferred. None: as they "
        "are computed. The other formats lose precision and so change the result. Parameters are never "
        "compressed.",
    )
    tls: Tls = Field(
        default=Tls.MUTUAL,
        description="TLS between clients and server. Mutual: the traffic is encrypted, and both sides "
        "authenticate by certificates. Disabled: neither encryption nor authentication.",
    )
