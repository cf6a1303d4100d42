"""What a simulation assumes of clients: how fast they compute, over which links, how often they are lost."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import BelowOne, NotNegative, Positive


class ClientProfile(SpecModel):
    """One kind of client; measured values, or one of `PROFILES`."""

    samples_per_second: Positive = Field(
        description="Samples whose forward and backward through the client part the client computes a second."
    )
    uplink: Positive = Field(description="Bits a second from the client to the server.")
    downlink: Positive = Field(description="Bits a second from the server to the client.")
    latency: NotNegative = Field(description="One way, in seconds.")
    dropout: BelowOne = Field(
        default=0.0, description="Probability that the client is lost in a step that it is active in."
    )


PROFILES: Final[Mapping[str, ClientProfile]] = MappingProxyType(
    {
        "lan": ClientProfile(samples_per_second=2000.0, uplink=1e9, downlink=1e9, latency=0.0005),
        "wifi": ClientProfile(samples_per_second=1000.0, uplink=5e7, downlink=1e8, latency=0.003),
        "lte": ClientProfile(samples_per_second=500.0, uplink=1.5e7, downlink=5e7, latency=0.03),
        "satellite": ClientProfile(samples_per_second=500.0, uplink=3e6, downlink=2.5e7, latency=0.3),
    }
)
"""Round figures of usual links with machines to match; a geostationary satellite."""
