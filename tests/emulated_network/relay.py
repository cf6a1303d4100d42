"""Carries the packets of slow links in user space, as ``netem`` does in kernels that have it.

A link has a TUN device at either end.  What is written into one comes out of the other as late as bandwidth
and latency demand, unless it is lost.

    python -m emulated_network.relay LINKS [--seed 1]

prints the names of both devices of each link, a line each.  Each line of standard input then sets a link
(`Setting`), and is answered by the same line; the end of standard input ends the relay and its devices.
"""

import argparse
import fcntl
import heapq
import itertools
import json
import os
import select
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x0001 | 0x1000
_LARGEST_PACKET: Final = 65_536
_AT_ONCE: Final = 64
_QUEUE_BYTES: Final = 1000 * 1500


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one direction of a link carries packets.

    Attributes:
        bits_per_second: Bandwidth.
        delay: Seconds from one end to the other.
        loss: Share of the packets that are lost; 1 for a cut link.
    """

    bits_per_second: float = 1e12
    delay: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class Setting:
    """Conditions of both directions of a link, by its position among the arguments."""

    link: int
    conditions: Conditions

    def line(self) -> str:
        """Return the line that sets it."""
        return json.dumps(asdict(self))

    @classmethod
    def of_line(cls, line: str) -> "Setting":
        """Return the setting of a line."""
        document = json.loads(line)
        return cls(document["link"], Conditions(**document["conditions"]))


class Direction:
    """Decides when packets arrive, in the order in which they were sent, and which are lost.

    A packet waits until those before it have been sent.  The queue holds 1,000 packets of 1,500 bytes, as
    netem's does; what finds it full is lost.
    """

    def __init__(self, rng: np.random.Generator, conditions: Conditions | None = None) -> None:
        self.conditions = conditions or Conditions()
        self._rng = rng
        self._sent_at = 0.0

    def arrival(self, size: int, now: float) -> float | None:
        """Return when a packet of ``size`` bytes arrives that is sent ``now``; None if it is lost."""
        rate = self.conditions.bits_per_second / 8
        waits = max(0.0, self._sent_at - now)
        if waits * rate > _QUEUE_BYTES or self._rng.random() < self.conditions.loss:
            return None
        self._sent_at = now + waits + size / rate
        return self._sent_at + self.conditions.delay


class Relay:
    """Carries packets between pairs of devices until standard input ends."""

    def __init__(self, pairs: list[tuple[int, int]], seed: int) -> None:
        rngs = (np.random.default_rng([seed, number]) for number in itertools.count())
        self._links = [(Direction(next(rngs)), Direction(next(rngs))) for _ in pairs]
        self._ways = {
            source: (direction, target)
            for (one, other), (up, down) in zip(pairs, self._links, strict=True)
            for source, direction, target in ((one, up, other), (other, down, one))
        }
        self._due: list[tuple[float, int, int, bytes]] = []
        self._count = itertools.count()

    def run(self) -> None:
        """Carry packets."""
        while True:
            timeout = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            readable, _, _ = select.select([*self._ways, sys.stdin.fileno()], [], [], timeout)
            for source in readable:
                if source in self._ways:
                    self._take(source)
                elif not self._obey():
                    return
            self._deliver()

    def _take(self, source: int) -> None:
        direction, target = self._ways[source]
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(source, _LARGEST_PACKET)
            except BlockingIOError:
                return
            arrival = direction.arrival(len(packet), time.monotonic())
            if arrival is not None:
                heapq.heappush(self._due, (arrival, next(self._count), target, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._due)
            try:
                os.write(target, packet)
            except OSError:  # the device is down, or its queue is full: the packet is lost
                continue

    def _obey(self) -> bool:
        """Set a link as a line of standard input says; return False at its end."""
        line = sys.stdin.readline()
        if not line:
            return False
        setting = Setting.of_line(line)
        for direction in self._links[setting.link]:
            direction.conditions = setting.conditions
        print(line, end="", flush=True)
        return True


def open_device() -> tuple[int, str]:
    """Create a TUN device, which exists as long as the descriptor is open; return descriptor and name."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH14x", b"link%d", _TUN_WITHOUT_HEADER)
    name: bytes = fcntl.ioctl(descriptor, _TUNSETIFF, request)[:16]
    return descriptor, name.rstrip(b"\0").decode()


def main() -> None:
    """Carry the packets of the links that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("links", type=int, help="number of links")
    parser.add_argument("--seed", type=int, default=0, help="of the packets that are lost")
    arguments = parser.parse_args()
    links = [(open_device(), open_device()) for _ in range(arguments.links)]
    for (_, one), (_, other) in links:
        print(one, other, flush=True)
    Relay([(one, other) for (one, _), (other, _) in links], arguments.seed).run()


if __name__ == "__main__":
    main()
