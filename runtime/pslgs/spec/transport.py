"""How tensors travel between clients and server."""

from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel


class Compression(StrEnum):
    """The number format in which smashed data and cut gradients travel."""

    NONE = "None"
    FLOAT16 = "Float16"
    BFLOAT16 = "BFloat16"
    INT8 = "Int8"


class Tls(StrEnum):
    """How the stream is protected."""

    MUTUAL = "Mutual"
    DISABLED = "Disabled"


class TransportSpec(SpecModel):
    """How tensors travel between clients and server."""

    compression: Compression = Field(
        default=Compression.NONE,
        description="Number format of smashed data and cut gradients on the wire; parameters travel as they "
        "are. All but None change the result.",
    )
    tls: Tls = Field(
        default=Tls.MUTUAL,
        description="Mutual: both sides show certificates, and the client's names it. Disabled: neither is "
        "checked.",
    )
