"""Small files that inflate to gigabytes are refused with a sentence, before they take the memory."""

import gzip
import io
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.data import arrays, inflation, parquet_pages
from pslgs.data.arrays import open_numpy
from pslgs.data.decoding import decode
from pslgs.data.inflation import IMAGE_PIXELS, inflate, memory_bytes
from pslgs.data.parquet import TableFiles, parquet_batches
from pslgs.data.samples import DEFAULT_FORM
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError
from pslgs.splitting.weights_file import load_weights

BOUND = 64 << 20
"""Bytes that a refusal may take; tracemalloc counts those of Python, NumPy and zlib."""


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < BOUND
    finally:
        tracemalloc.stop()


def png(width: int, height: int, rows: int) -> bytes:
    """Return a picture of one bit a pixel, of which only some rows are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes((1 + width // 8) * rows), 9))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("side", "problem"),
    [
        pytest.param(12_000, f"it has 12,000 × 12,000 pixels, and {IMAGE_PIXELS:,} at most", id="large"),
        pytest.param(60_000, "it cannot be decoded .*decompression bomb", id="huge"),
    ],
)
def test_a_picture_of_too_many_pixels_is_refused(side, problem):
    with little_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of the large one
        with pytest.raises(ValueError, match=problem):
            decode(png(side, side, rows=1000))


def test_a_volume_that_inflates_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("pslgs.data.medical.inflate", lambda data: inflate(data, 1 << 20))
    bomb = gzip.compress(bytes(32 << 20))
    with (
        little_memory(),
        pytest.raises(ValueError, match=r"more than 1,048,576 bytes when it is decompressed"),
    ):
        decode(bomb * 8)


@given(st.lists(st.binary(max_size=100), max_size=4), st.integers(0, 8))
def test_what_is_within_the_limit_is_decompressed_as_a_whole(members, padding):
    packed = b"".join(map(gzip.compress, members)) + bytes(padding if members else 0)
    assert inflate(packed, sum(map(len, members))) == b"".join(members)


def test_an_archive_whose_arrays_do_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "memory_bytes", lambda: 16 << 20)
    path = tmp_path / "train.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in (("x", (4 << 20, 8)), ("y", (4 << 20,))):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(
                    file, {"descr": "|u1", "fortran_order": False, "shape": shape}
                )
                for _ in range(shape[0] * (8 if name == "x" else 1) >> 20):
                    file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with (
        little_memory(),
        pytest.raises(
            InputError, match=r"37,748,\d+ bytes when they are decompressed.* 16,777,216; save them as"
        ),
    ):
        open_numpy(DataSource(format="NumPy", path=str(path)), "spec.data.train")


@pytest.mark.parametrize("name", ["train.npz", "folder"])
def test_an_array_that_claims_more_than_it_has_is_refused(tmp_path, name):
    def header(shape: tuple[int, ...]) -> bytes:
        with io.BytesIO() as file:
            described = {"descr": "<f8", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, described)
            return file.getvalue()

    path = tmp_path / name
    contents = {"x.npy": header((10**15, 8)), "y.npy": header((10**15,))}
    if path.suffix:
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in contents.items():
                archive.writestr(each, content)
    else:
        path.mkdir()
        for each, content in contents.items():
            (path / each).write_bytes(content)
    with pytest.raises(InputError, match=r"is not a valid \.np[yz] file"):  # it allocates, but never touches
        open_numpy(DataSource(format="NumPy", path=str(path)), "spec.data.train")


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_table_of_one_large_value_in_all_rows_is_read_a_few_rows_at_a_time(
    tmp_path, monkeypatch, compression, version
):
    monkeypatch.setattr(parquet_pages, "BYTES_AT_ONCE", 1 << 20)
    value, rows = bytes(200_000), 300
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
    table = pa.table({"image": column, "label": [0] * rows, "other": [bytes(900_000)] * rows})
    file = tmp_path / "train.parquet"
    pq.write_table(table, file, compression=compression, store_schema=False, data_page_version=version)
    source = DataSource(format="Parquet", path=str(file), input_column="image")
    files = TableFiles.of(source, "spec.data.train", DEFAULT_FORM, parquet_batches)
    sizes = [batch.num_rows for batch in parquet_batches(file, files)]
    assert (max(sizes), sum(sizes)) == (5, rows)


def test_a_table_of_different_values_is_read_many_rows_at_a_time(tmp_path):
    rng = np.random.default_rng(3)
    table = pa.table({"image": [rng.bytes(5_000) for _ in range(600)], "label": [0] * 600})
    file = tmp_path / "train.parquet"
    pq.write_table(table, file)
    with pq.ParquetFile(file) as reader:
        batches = [*parquet_pages.bounded_batches(reader, file, ["image", "label"])]
    assert len(batches) <= 4  # although its dictionary has 3 MB, and each value only 5 KB
    assert pa.Table.from_batches(batches).equals(table)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(struct.pack("<Q", 2**62) + b"{}", id="header of exabytes"),
        pytest.param(
            struct.pack("<Q", 72)
            + b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}'.ljust(72)
            + bytes(4),
            id="tensor of terabytes",
        ),
    ],
)
def test_weights_that_claim_more_than_they_have_are_refused(tmp_path, content):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content)
    with little_memory(), pytest.raises(InputError, match="is neither a safetensors nor a PyTorch file"):
        load_weights(file, "spec.model.initialWeights")


def test_the_memory_is_that_of_the_container_if_it_has_less(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(inflation, "_CONTAINER_LIMIT", limit)
    machine = memory_bytes()
    for written, expected in (("1048576\n", 1 << 20), ("max\n", machine), (f"{2**62}\n", machine)):
        limit.write_text(written)
        assert memory_bytes() == expected


@pytest.mark.parametrize("place", ["x.npz", "folder"])
def test_what_is_no_array_in_the_place_of_one_is_refused(place, tmp_path):
    path = tmp_path / place
    if place == "folder":
        path.mkdir()
        np.savez(path / "archive.npz", y=np.arange(3))
        (path / "archive.npz").rename(path / "x.npy")
        np.save(path / "y.npy", np.arange(3))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", b"no array")
            archive.writestr("y.npy", b"none either")
    source = DataSource(format="NumPy", path=str(path))
    with pytest.raises(InputError, match=r"is not a valid \.np[yz] file \(it holds \w+ in the place"):
        open_numpy(source, "spec.data.train")
