"""Types of the numbers and texts in the manifest, with their bounds.

Numbers are strict (``"3"`` and ``true`` are not integers), because they are to the API server.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

DNS_1035_LABEL: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
IDENTIFIER: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
ENTRYPOINT: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
QUANTITY: Final = r"^(0*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
EXTENDED_RESOURCE: Final = (
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    r"/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
HOST: Final = (
    r"^([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*"
    r"|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"
)
LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
PERCENTAGE: Final = r"^(100|[1-9][0-9]?)%$"

PATTERN_WORDS: Final[Mapping[str, str]] = {
    DNS_1035_LABEL: "must hold only a-z, 0-9 and '-', start with a letter and end with a letter or digit",
    DNS_SUBDOMAIN: "must hold only a-z, 0-9, '-' and '.', and start and end with a letter or digit",
    IDENTIFIER: "must be a plain name of letters, digits and '_'",
    ENTRYPOINT: "must read package.module:function",
    QUANTITY: "must be a Kubernetes quantity above 0, such as 10Gi",
    HOST: "must be a host name or an IP address, without scheme, brackets and port",
    LABEL_VALUE: "must hold only letters, digits, '-', '_' and '.', and start and end with a letter or digit",
    EXTENDED_RESOURCE: "must be the name of an extended resource such as nvidia.com/gpu",
}
"""Requirement behind each pattern, as used in error messages."""

Count = Annotated[int, Field(strict=True, ge=1, le=INT32_MAX)]
CountOrZero = Annotated[int, Field(strict=True, ge=0, le=INT32_MAX)]
Seed = Annotated[int, Field(strict=True, ge=0, le=INT64_MAX)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
BelowOne = Annotated[float, Field(strict=True, ge=0, lt=1)]
UpToOne = Annotated[float, Field(strict=True, gt=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=1024)]
ObjectName = Annotated[str, Field(strict=True, max_length=253, pattern=DNS_SUBDOMAIN)]
Identifier = Annotated[str, Field(strict=True, max_length=128, pattern=IDENTIFIER)]
Entrypoint = Annotated[str, Field(strict=True, max_length=256, pattern=ENTRYPOINT)]
Host = Annotated[str, Field(strict=True, max_length=253, pattern=HOST)]
ResourceName = Annotated[str, Field(strict=True, max_length=253, pattern=EXTENDED_RESOURCE)]
Quantity = Annotated[str, Field(strict=True, max_length=32, pattern=QUANTITY)]
"""The length of texts is bounded, because the API server limits the worst-case cost of CEL rules on them."""
