"""Data of a client: images, arrays and tables, opened and read as a client does."""

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fuzzing.containers import enveloped, files, mutate_files, mutate_png, parts_of
from fuzzing.engine import Target
from fuzzing.mutators import Mutator, mutate_bytes, one_of, with_words

FIELD = "spec.data.train"


def image(_folder: Path) -> Target:
    """Images that Pillow reads."""
    import numpy as np
    from PIL import Image

    pixels = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)
    colour, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    kinds = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "MPO")
    seeds = [
        *(_saved(colour, kind) for kind in kinds),
        *(_saved(each, "PNG") for each in (grey, deep, colour.convert("P"), colour.convert("RGBA"))),
        *(_saved(each, "TIFF", compression="tiff_lzw") for each in (deep, colour)),
    ]
    seeds += [_saved(colour, "JPEG", exif=_turned()), _saved(colour, "PNG", exif=_turned())]

    def mutate(rng, data: bytes, other: bytes) -> bytes:
        return (mutate_png if data.startswith(b"\x89PNG") else mutate_bytes)(rng, data, other)

    return _image_target(seeds, mutate, 2000)


def _turned() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def _saved(picture: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def medical_image(_folder: Path) -> Target:
    """DICOM and NIfTI images."""
    import gzip

    import numpy as np

    from data.test_medical_images import STORED, dicom, nifti

    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    coloured = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    plain = [
        dicom(),
        dicom(coloured, bits=8, kind="RGB"),
        dicom(np.stack([STORED, STORED]), RescaleSlope=2, RescaleIntercept=-1024),
        nifti(volume),
        nifti(volume, slope=(2, -1)),
    ]

    def unzipped(data: bytes) -> dict[str, bytes]:
        try:
            return {"": gzip.decompress(data)}
        except Exception as error:
            raise ValueError("no gzip") from error

    within = enveloped(unzipped, lambda parts: gzip.compress(parts.get("", b"")), lambda _: mutate_bytes)

    def mutate(rng, data: bytes, other: bytes) -> bytes:
        return (within if data[:2] == b"\x1f\x8b" and rng.random() < 0.7 else mutate_bytes)(rng, data, other)

    return _image_target([*plain, gzip.compress(plain[3])], mutate, 800)


def _image_target(seeds: Sequence[bytes], mutate: Mutator, inputs: int) -> Target:
    from pslgs.data.decoding import decode

    def read(data: bytes) -> None:
        decoded = decode(data, (0.0, 255.0))
        assert decoded.ndim >= 3

    return Target(decode=read, errors=(ValueError,), seeds=seeds, mutate=mutate, inputs=inputs)


def _opened(source: Any, folder: Path, **form: Any) -> None:
    """Open a dataset and read its first and last sample."""
    from pslgs.data.loading import open_source
    from pslgs.data.samples import SampleForm

    opened = open_source(source, FIELD, folder / "cache", SampleForm(**form))
    assert len(opened) == len(opened.labels)
    for index in {0, len(opened) - 1}:
        opened.load(index)


def arrays(folder: Path) -> Target:
    """NumPy arrays: the files of a folder, or an archive."""
    import numpy as np

    from pslgs.spec.data import DataFormat, DataSource
    from pslgs.spec.errors import InputError

    seeds = []
    for x, y in (
        (np.ones((3, 4), np.float32), np.arange(3)),
        (np.zeros((3, 2, 2), np.uint8), np.array(["cat", "dog", "cat"])),
        (np.ones((2, 1)), np.ones((2, 3), np.float32)),
    ):
        seeds.append(files({"x.npy": _npy(x), "y.npy": _npy(y)}))
    there, archive = folder / "arrays", folder / "a.npz"

    def decode(data: bytes) -> None:
        shutil.rmtree(there, ignore_errors=True)
        there.mkdir()
        archive.write_bytes(data)
        try:
            parts = parts_of(data)
        except ValueError:
            parts = {}
        if len(data) % 2 and parts.keys() >= {"x.npy", "y.npy"}:
            for name in ("x.npy", "y.npy"):
                (there / name).write_bytes(parts[name])
            _opened(DataSource(format=DataFormat.NUMPY, path=str(there)), folder)
        else:
            _opened(DataSource(format=DataFormat.NUMPY, path=str(archive)), folder)

    return Target(
        decode=decode,
        errors=(InputError,),
        seeds=seeds,
        mutate=one_of(mutate_files, mutate_files, mutate_bytes),
        inputs=1500,
    )


def _npy(array: Any) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def csv(folder: Path) -> Target:
    """CSV files."""
    import gzip

    from pslgs.spec.data import DataFormat, DataSource

    text = "a,b,label\n1,2.5,cat\n-3,4e2,dog\n5,6,cat\n"
    seeds = [
        text.encode(),
        text.replace(",", ";").encode(),
        b"\xef\xbb\xbf" + text.replace("cat", "1").encode(),
    ]
    seeds += [b'"a","b","label"\r\n"1","2","x ""y"""\r\n', gzip.compress(text.encode())]
    words = (
        b"nan",
        b"inf",
        b"1e999",
        b'"',
        b'""',
        b"\n",
        b"\r",
        b"\0",
        b",,",
        b"9" * 400,
        b"0x1",
        b"1,5",
        b"\xff",
        b";",
    )

    def decode(data: bytes) -> None:
        file = folder / ("a.csv.gz" if data[:2] == b"\x1f\x8b" else "a.csv")
        _convert(
            file,
            data,
            DataSource(format=DataFormat.CSV, path=str(file), input_columns=("a", "b"), label_column="label"),
            folder,
        )

    return _table(decode, seeds, with_words(*words), 500)


def parquet(folder: Path) -> Target:
    """Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from pslgs.spec.data import DataFormat, DataSource

    picture = _saved(Image.new("RGB", (4, 3)), "PNG")
    tables = (
        pa.table({"image": [{"bytes": picture, "path": "a"}] * 3, "label": [0, 1, 0]}),
        pa.table({"image": [[1.0, 2.0], [3.0, 4.0]], "label": ["cat", "dog"]}),
        pa.table(
            {"image": pa.array([[[1, 2]], [[3, 4]]], pa.list_(pa.list_(pa.int16()))), "label": [0.5, 1.5]}
        ),
    )
    names = b'{"info": {"features": {"label": {"names": ["cat", "dog"]}}}}'
    seeds = []
    for table, compression in zip(tables, ("snappy", "none", "gzip"), strict=True):
        buffer = io.BytesIO()
        pq.write_table(
            table.replace_schema_metadata({b"huggingface": names}), buffer, compression=compression
        )
        seeds.append(buffer.getvalue())
    file = folder / "a.parquet"

    def decode(data: bytes) -> None:
        _convert(
            file, data, DataSource(format=DataFormat.PARQUET, path=str(file), input_column="image"), folder
        )

    return _table(decode, seeds, mutate_bytes, 500)


def _convert(file: Path, data: bytes, source: Any, folder: Path) -> None:
    file.write_bytes(data)
    try:
        _opened(source, folder)
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)


def _table(decode: Callable[[bytes], None], seeds: Sequence[bytes], mutate: Mutator, inputs: int) -> Target:
    from pslgs.spec.errors import InputError

    return Target(decode=decode, errors=(InputError,), seeds=seeds, mutate=mutate, inputs=inputs)


DATASETS: tuple[Callable[[Path], Target], ...] = (image, medical_image, arrays, csv, parquet)
