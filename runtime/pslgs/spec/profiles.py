"""Client profiles for simulations: computing speed, bandwidth, latency and dropout probability."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import BelowOne, NotNegative, Positive


class ClientProfile(SpecModel):
    """Speed and reliability of one kind of client."""

    samples_per_second: Positive = Field(
        description="Speed of the client: samples per second, forward and backward pass through the client "
        "part together."
    )
    uplink: Positive = Field(description="Bandwidth from the client to the server in bits per second.")
    downlink: Positive = Field(description="Bandwidth from the server to the client in bits per second.")
    latency: NotNegative = Field(description="Latency in seconds, one way.")
    dropout: BelowOne = Field(
        default=0.0, description="Probability that an active client is lost in a step. By default, none is."
    )


PROFILES: Final[Mapping[str, ClientProfile]] = MappingProxyType(
    {
        "lan": ClientProfile(samples_per_second=2000.0, uplink=1e9, downlink=1e9, latency=0.0005),
        "wifi": ClientProfile(samples_per_second=1000.0, uplink=5e7, downlink=1e8, latency=0.003),
        "lte": ClientProfile(samples_per_second=500.0, uplink=1.5e7, downlink=5e7, latency=0.03),
        "satellite": ClientProfile(samples_per_second=500.0, uplink=3e6, downlink=2.5e7, latency=0.3),
    }
)
"""Built-in profiles: rounded values of common links and of typical machines behind them.

``satellite`` is a geostationary link.
"""
