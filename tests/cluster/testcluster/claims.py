"""Who uses which instance: a program takes a free one, and clears away what a dead owner left."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.testcluster.layout import CACHE, IPV4, MAX_INSTANCES, Family, Instance
from cluster.testcluster.process import ClusterError, start_time


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that ends an instance when it is done with it."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return start_time(self.pid) == self.started


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock that all harnesses of this cache respect."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim(family: Family = IPV4) -> tuple[Instance, bool]:
    """Take an instance for this process; say whether a dead owner's leftovers have to be cleared first.

    Number 0 is left to people.

    Raises:
        ClusterError: all are in use.
    """
    with locked("claims"):
        for number in range(1, MAX_INSTANCES):
            instance = Instance(number, family)
            owner = owner_of(instance)
            if (owner is None and _untouched(instance)) or (owner is not None and not owner.alive):
                _write(instance)
                return instance, owner is not None
    raise ClusterError(f"all {MAX_INSTANCES - 1} instances are in use; see {CACHE / 'instances'}")


def release(instance: Instance) -> None:
    """Give a claimed instance back, after ``down``."""
    _file(instance).unlink(missing_ok=True)


def owner_of(instance: Instance) -> Owner | None:
    """The process that claimed the instance, if one did."""
    file = _file(instance)
    return Owner(**json.loads(file.read_text())) if file.exists() else None


def _write(instance: Instance) -> None:
    file = _file(instance)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": os.getpid(), "started": start_time(os.getpid())}))


def _file(instance: Instance) -> Path:
    return instance.state.with_suffix(".owner")


def _untouched(instance: Instance) -> bool:
    """Whether nobody has it up, neither from this cache nor from another user's."""
    if instance.state.exists():
        return False
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", instance.port("api-server"))) != 0
