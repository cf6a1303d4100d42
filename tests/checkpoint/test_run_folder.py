import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pslgs.server.run_checkpoint import prepare_run_folder
from pslgs.spec.errors import InputError


@contextmanager
def an_ordinary_user() -> Iterator[int]:
    """Root may write anywhere."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65532)
    try:
        yield os.geteuid()
    finally:
        os.seteuid(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o555)
        yield Path(made)


def test_a_missing_run_folder_is_made(tmp_path: Path) -> None:
    assert prepare_run_folder(tmp_path / "of" / "digits").is_dir()


@pytest.mark.parametrize("name", [pytest.param(".", id="it-exists"), pytest.param("run", id="it-is-missing")])
def test_a_run_folder_that_may_not_be_written_is_told(name: str, folder: Path) -> None:
    with an_ordinary_user() as user, pytest.raises(InputError) as refused:
        prepare_run_folder(folder / name)
    assert f"is not writable for user {user}; change its owner, or that of the volume" in str(refused.value)
