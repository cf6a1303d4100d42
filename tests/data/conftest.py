import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def pixels() -> np.ndarray:
    """Twelve images, 8 rows by 6 columns, RGB, all different."""
    return np.random.default_rng(0).integers(0, 256, (12, 8, 6, 3), dtype=np.uint8)


@pytest.fixture
def as_png() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, columns: dict[str, object], metadata: dict[bytes, bytes] | None = None) -> Path:
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / name, row_group_size=5)
        return tmp_path / name

    return write


@pytest.fixture
def image_column(pixels: np.ndarray) -> pa.Array:
    """The hubs' struct of bytes and path."""
    return pa.array([{"bytes": encoded(each), "path": f"{i}.png"} for i, each in enumerate(pixels)])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
