"""Saves checkpoints in processes that are killed, checks what is left, and prints what it found as JSON."""

import itertools
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import torch

from pslgs.training.checkpoint import CheckpointStore

FILE_EVENTS = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.scandir",
    "os.listdir",
    "os.chmod",
}


def save(store: CheckpointStore, step: int, size: int) -> None:
    groups = {
        "model": {"w": torch.full((size,), float(step))},
        "optimizer": {"m": torch.full((size,), step / 3)},
    }
    store.save(step, groups, {"step": step})


def loaded_step(store: CheckpointStore) -> int:
    checkpoint = store.load_latest()
    step = checkpoint.step
    assert checkpoint.damaged == ()
    assert checkpoint.state == {"step": step}
    assert (checkpoint.tensors["model"]["w"] == step).all()
    assert (checkpoint.tensors["optimizer"]["m"] == torch.tensor(step / 3)).all()
    return step


def killed_at_operation(store: CheckpointStore, number: int) -> bool:
    """Save step 2 in a process killed before its ``number``-th file operation; False: it has fewer."""
    child = os.fork()
    if child == 0:
        operations = itertools.count(1)

        def count(event: str, _: object) -> None:
            if event in FILE_EVENTS and next(operations) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        save(store, 2, 10)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def every_operation(folder: Path) -> list[int]:
    found = []
    store = CheckpointStore(folder, keep=1)
    save(store, 1, 10)
    while killed_at_operation(store, len(found) + 1):
        found.append(loaded_step(store))
        save(store, 3, 10)
        assert [path.name for path in folder.iterdir()] == ["step-00000003"]
        shutil.rmtree(folder)
        save(store, 1, 10)
    return found


def random_moments(folder: Path) -> list[int]:
    moments = random.Random(0)  # noqa: S311 - no secret
    store = CheckpointStore(folder, keep=2)
    save(store, 1, 300_000)
    found = [1]
    for _ in range(20):
        child = os.fork()
        if child == 0:
            # The timer's signal ends the process where it stands, as SIGKILL does.  It counts CPU time, so
            # that a busy machine does not end every process before it has saved anything.
            signal.setitimer(signal.ITIMER_PROF, moments.uniform(0.001, 0.1))
            for step in itertools.count(found[-1] + 1):
                save(store, step, 300_000)
        moments.random()
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        found.append(loaded_step(store))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)  # a forked process would wait for threads that it does not have
    kill = {"every_operation": every_operation, "random_moments": random_moments}[sys.argv[1]]
    json.dump(kill(Path(sys.argv[2])), sys.stdout)
