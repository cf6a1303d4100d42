"""The files of a job's run: where they are, and how they are copied out of the cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pslgs.atomic_file import replacing
from pslgs.cluster.access import Access, ClusterError, CommandFailedError
from pslgs.cluster.reader_pod import Volume, reading
from pslgs.cluster.training_job import TrainingJob
from pslgs.spec.child_names import SERVER, checkpoints_name, run_folder
from pslgs.spec.errors import InputError

_BLOCK: Final = 1 << 20
_BLOCKS: Final = 16
"""Blocks of one transfer, which the package holds in memory twice."""
_ATTEMPTS: Final = 3
"""Transfers of a part that may break before the copy is given up."""

Run = Callable[[Sequence[str]], bytes]
"""Runs a command where the files are, and returns what it writes on stdout."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Access to the folder of a run.

    Attributes:
        folder: Path of the folder in the container.
        run: Runs a command in the container.
    """

    folder: str
    run: Run

    def exists(self, name: str) -> bool:
        """Return whether the run has a file of this name."""
        return self._state(name) is not None

    def copy(self, name: str, target: Path, show: Callable[[int, int], None]) -> int:
        """Copy a file, and return its size in bytes; what is appended meanwhile is left out.

        Args:
            name: Name of the file in the folder.
            target: File to write; it is replaced when the copy is complete.
            show: Called with the number of bytes that are copied, and that of all.

        Raises:
            InputError: there is no such file, or it was replaced meanwhile.
            ClusterError: the connection breaks again and again.
            OSError: the target cannot be written.
        """
        state = self._state(name)
        if state is None:
            raise InputError.at("", f"the run has no {name}")
        size, identity = state
        with replacing(target) as new, new.open("wb") as file:
            copied = 0
            while copied < size:
                part = self._part(name, copied // _BLOCK)[: size - copied]
                if not part:
                    break
                file.write(part)
                copied += len(part)
                show(copied, size)
            now = self._state(name)
            if copied < size or now is None or now[1] != identity:
                raise InputError.at("", f"{name} was replaced while it was copied; copy it again")
        return size

    def _part(self, name: str, block: int) -> bytes:
        command = [
            "dd",
            f"if={self._path(name)}",
            f"bs={_BLOCK}",
            f"skip={block}",
            f"count={_BLOCKS}",
            "status=none",
        ]
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.run(command)
            except ClusterError:
                continue
        return self.run(command)

    def _state(self, name: str) -> tuple[int, str] | None:
        """Return the size of a file, and what changes when it is replaced; None if it does not exist."""
        try:
            size, _, identity = (
                self.run(["stat", "-L", "-c", "%s %i", self._path(name)]).decode().partition(" ")
            )
        except CommandFailedError:
            return None
        return int(size), identity.strip()

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self.folder, name))


@contextmanager
def run_files(access: Access, job: TrainingJob, image: str | None = None) -> Iterator[RunFiles]:
    """Give access to the folder of a job's run: in the server's pod, or in one that mounts its volume.

    Args:
        access: The cluster.
        job: The job.
        image: Image of the pod that mounts the volume; None for that of the server.

    Raises:
        InputError: the job keeps no files, or there is no image.
        ClusterError: the cluster refuses, or the pod does not start.
    """
    folder, volume = _place(job)
    server = job.server
    if server is not None and server.is_running:
        yield RunFiles(folder, lambda command: access.run(server.name, SERVER, command))
        return
    if volume is None:
        raise InputError.at(
            "JOB",
            f"'{job.name}' has no spec.checkpoint.storage, so that its files ended with the server's pod; "
            "add checkpoint: {storage: {size: 1Gi}} to its spec, and run it again",
        )
    with reading(access, job, volume, image) as run:
        yield RunFiles(folder, run)


def _place(job: TrainingJob) -> tuple[str, Volume | None]:
    """Return the folder of the run in the server's container, and the volume that keeps it, if one does."""
    template = job.server_template
    if template is None:
        return run_folder(job.name), _volume_of_spec(job)
    container = next(
        (each for each in template["containers"] if each["name"] == SERVER), template["containers"][0]
    )
    option = "--run="
    folder = next(
        (each.removeprefix(option) for each in container.get("args", ()) if each.startswith(option)),
        run_folder(job.name),
    )
    mounts = [each for each in container.get("volumeMounts", ()) if _holds(each["mountPath"], folder)]
    mount = max(mounts, key=lambda each: len(each["mountPath"]), default=None)
    claims = {each["name"]: _claim(each) for each in template.get("volumes", ())}
    claim = claims.get(mount["name"]) if mount else None
    return folder, None if claim is None or mount is None else Volume(
        claim, mount["mountPath"], mount.get("subPath")
    )


def _volume_of_spec(job: TrainingJob) -> Volume | None:
    storage = job.document["spec"].get("checkpoint", {}).get("storage")
    if not storage:
        return None
    mounted = str(PurePosixPath(run_folder(job.name)).parent)
    return Volume(storage.get("claimName") or checkpoints_name(job.name), mounted)


def _holds(mounted: str, folder: str) -> bool:
    return PurePosixPath(folder).is_relative_to(mounted)


def _claim(volume: Mapping[str, Any]) -> str | None:
    name: str | None = volume.get("persistentVolumeClaim", {}).get("claimName")
    return name
