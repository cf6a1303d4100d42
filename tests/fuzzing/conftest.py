import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzzing.engine import MEMORY


@pytest.fixture
def scratch() -> Iterator[Path]:
    """An empty folder, in memory if possible: some decoders wait until what they write is on the disk."""
    with tempfile.TemporaryDirectory(prefix="fuzzing-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)
