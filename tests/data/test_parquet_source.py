import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pslgs.data import parquet as parquet_module
from pslgs.data import stored_input
from pslgs.data.decoding import decode
from pslgs.data.loading import open_source
from pslgs.spec.data import DataFormat, DataSource
from pslgs.spec.errors import InputError

FIELD = "spec.data.train"


def parquet(path, **fields) -> DataSource:
    return DataSource(format=DataFormat.PARQUET, path=str(path), **fields)


def test_files_are_read_in_sorted_order_and_images_decoded(
    write_parquet, image_column, pixels, cache, tmp_path
):
    write_parquet("part-1.parquet", {"img": image_column[7:], "label": [1] * 5})
    write_parquet("part-0.parquet", {"img": image_column[:7], "label": [0, 1, 2, 0, 1, 2, 0]})
    source = open_source(parquet(tmp_path / "part-*.parquet"), FIELD, cache)
    assert len(source) == 12
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 1, 1, 1, 1]
    assert source.labels.dtype == np.int64
    for index in (11, 0, 7, 6, 3):
        image = source.load(index)
        assert image.dtype == torch.uint8
        assert np.array_equal(image.permute(1, 2, 0), pixels[index])


def test_plain_bytes_and_other_column_names_do_as_well(write_parquet, pixels, as_png, cache):
    file = write_parquet(
        "d.parquet",
        {"image": [as_png(each) for each in pixels], "fine": pa.array([3] * 12, pa.uint8()), "x": [0] * 12},
    )
    source = open_source(parquet(file, input_column="image", label_column="fine"), FIELD, cache)
    assert np.array_equal(source.load(2).permute(1, 2, 0), pixels[2])
    assert source.labels.tolist() == [3] * 12


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(pa.list_(pa.float64()), id="list"),
        pytest.param(pa.large_list(pa.int16()), id="large list"),
        pytest.param(pa.list_(pa.float32(), 4), id="fixed-size list"),
    ],
)
def test_lists_of_numbers_are_features_and_floats_are_targets(kind, write_parquet, cache):
    rows = np.arange(48).reshape(12, 4)
    file = write_parquet("d.parquet", {"img": pa.array(rows.tolist(), kind), "label": np.linspace(0, 1, 12)})
    source = open_source(parquet(file), FIELD, cache)
    assert source.load(7).dtype == torch.float32
    assert source.load(7).tolist() == [28, 29, 30, 31]
    assert source.labels.dtype == np.float32
    assert source.labels[-1] == 1


def test_lists_as_labels_are_several_targets(write_parquet, cache):
    file = write_parquet("d.parquet", {"img": [[1.0], [2.0]], "label": [[0.5, 1.5], [2.5, 3.5]]})
    assert open_source(parquet(file), FIELD, cache).labels.tolist() == [[0.5, 1.5], [2.5, 3.5]]


def test_class_names_come_from_the_file_or_from_the_manifest(write_parquet, image_column, cache):
    stored = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    columns = {"img": image_column, "label": [0, 1] * 6}
    file = write_parquet("d.parquet", columns, {b"huggingface": json.dumps(stored).encode()})
    assert open_source(parquet(file), FIELD, cache).class_names == ("cat", "dog")
    assert open_source(parquet(file, classes=("a", "b")), FIELD, cache).class_names == ("cat", "dog")
    plain = write_parquet("plain.parquet", columns)
    assert open_source(parquet(plain), FIELD, cache).class_names is None
    assert open_source(parquet(plain, classes=("a", "b")), FIELD, cache).class_names == ("a", "b")


def test_a_file_is_converted_once_and_again_when_it_changes(write_parquet, image_column, cache, monkeypatch):
    conversions = []
    convert = parquet_module._convert
    monkeypatch.setattr(parquet_module, "_convert", lambda *given: (conversions.append(1), convert(*given)))
    file = write_parquet("d.parquet", {"img": image_column, "label": [0] * 12})
    first = open_source(parquet(file), FIELD, cache)
    assert open_source(parquet(file), FIELD, cache).labels.tolist() == [0] * 12
    assert len(conversions) == 1
    write_parquet("d.parquet", {"img": image_column, "label": [1] * 12})
    assert open_source(parquet(file), FIELD, cache).labels.tolist() == [1] * 12
    assert len(conversions) == 2
    assert first.load(0).shape == (3, 8, 6)
    assert list(cache.glob("*.new")) == []


@pytest.mark.slow
def test_processes_that_open_it_at_once_convert_it_once(write_parquet, image_column, cache):
    file = write_parquet("d.parquet", {"img": image_column, "label": list(range(12))})
    code = (
        "import pathlib, sys\n"
        "from pslgs.data import parquet\n"
        "convert = parquet._convert\n"
        "parquet._convert = lambda *given: (print('converted'), convert(*given))\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "files = parquet.TableFiles((path,), ('img',), ('label',), '', parquet.parquet_batches)\n"
        "print(parquet.open_converted(files, pathlib.Path(sys.argv[2])).num_rows)\n"
    )
    command = [sys.executable, "-c", code, str(file), str(cache)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0].split() for process in running]
    assert [output[-1] for output in outputs] == ["12"] * 3
    assert sum(output.count("converted") for output in outputs) == 1
    assert len(list(cache.glob("*.arrow"))) == 1


def test_only_the_rows_asked_for_are_decoded(write_parquet, image_column, cache, monkeypatch):
    decoded = []

    def counting(data, value_range):
        decoded.append(len(data))
        return decode(data, value_range)

    monkeypatch.setattr(stored_input, "decode", counting)
    file = write_parquet("d.parquet", {"img": image_column, "label": [0] * 12})
    source = open_source(parquet(file), FIELD, cache)
    assert decoded == []
    source.load(3)
    assert len(decoded) == 1


def test_the_samples_stay_on_disk(write_parquet, cache):
    """Opening 16 MB of incompressible features takes almost no memory of Arrow's."""
    rows = np.random.default_rng(0).random((4000, 1024), dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 1024)
    file = write_parquet("d.parquet", {"img": column, "label": np.zeros(4000, np.int64)})
    del rows, column
    before = pa.total_allocated_bytes()
    source = open_source(parquet(file), FIELD, cache)
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert source.load(3999).shape == (1024,)


def test_a_damaged_image_is_named_when_it_is_loaded(write_parquet, as_png, pixels, cache):
    images = [as_png(pixels[0]), as_png(pixels[1])[:60], b"no image"]
    file = write_parquet("d.parquet", {"img": images, "label": [0, 1, 2]})
    source = open_source(parquet(file), FIELD, cache)
    assert source.load(0).shape == (3, 8, 6)
    for row, reason in ((1, "it cannot be decoded"), (2, "its image format is unknown")):
        with pytest.raises(InputError, match=f"damaged image in row {row}: {reason}"):
            source.load(row)


def test_a_cache_that_cannot_be_written_is_named(write_parquet, image_column, tmp_path):
    file = write_parquet("d.parquet", {"img": image_column, "label": [0] * 12})
    (tmp_path / "cache").write_text("a file, where a folder should be")
    with pytest.raises(InputError, match="cannot be converted in"):
        open_source(parquet(file), FIELD, tmp_path / "cache")


def test_a_conversion_that_fails_leaves_nothing_behind(write_parquet, image_column, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    file = write_parquet("d.parquet", {"img": image_column, "label": [0] * 12})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        open_source(parquet(file), FIELD, cache)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]


def no_samples(write):
    return write("d.parquet", {"img": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})


def cut_short(write):
    file = write("d.parquet", {"img": [b"x" * 100] * 9, "label": [0] * 9})
    file.write_bytes(file.read_bytes()[:200])
    return file


def scribbled_over(write):
    file = write(
        "d.parquet", {"img": [np.random.default_rng(i).bytes(500) for i in range(9)], "label": [0] * 9}
    )
    content = bytearray(file.read_bytes())
    content[4:60] = b"\xff" * 56
    file.write_bytes(content)
    return file


def empty_file(write):
    file = write("d.parquet", {"img": [b""], "label": [0]})
    file.write_bytes(b"")
    return file


def two_lengths(write):
    write("d-0.parquet", {"img": [[1.0, 2.0]], "label": [0]})
    return write("d-1.parquet", {"img": [[1.0]], "label": [0]}).with_name("d-*.parquet")


def with_columns(**columns):
    return lambda write: write("d.parquet", {"img": [b"x"], "label": [0]} | columns)


def one_name(write):
    file = write("d.parquet", {"img": [b"x"], "label": [0]})
    pq.write_table(
        pa.Table.from_arrays([pa.array([b"x"])] * 2 + [pa.array([0])], ["img", "img", "label"]), file
    )
    return file


def only_columns(*names):
    return lambda write: write("d.parquet", {name: [0] for name in names})


UNREADABLE = r"d\.parquet', which is not a valid Parquet file"
NO_LABEL = pa.array([None], pa.int64())
NO_BYTES = [{"bytes": None, "path": "a.png"}]


@pytest.mark.parametrize(
    ("make", "path", "words"),
    [
        pytest.param(lambda _: "nowhere-*.parquet", ".path", "matches no file", id="no file"),
        pytest.param(empty_file, ".path", "which is empty", id="empty file"),
        pytest.param(no_samples, "", "holds no samples", id="no rows"),
        pytest.param(cut_short, "", UNREADABLE, id="cut short"),
        pytest.param(scribbled_over, "", UNREADABLE, id="scribbled over"),
        pytest.param(only_columns("a", "label"), ".inputColumn", "columns a, label", id="no input column"),
        pytest.param(only_columns("img", "a"), ".labelColumn", "the columns img, a", id="no label column"),
        pytest.param(with_columns(label=[b"x"]), "", "'label' has type binary", id="bytes as label"),
        pytest.param(with_columns(label=NO_LABEL), "", "'label' has missing", id="missing label"),
        pytest.param(with_columns(label=[float("nan")]), "", "missing or not finite", id="nan as label"),
        pytest.param(with_columns(img=["text"]), "", "'img' has type string", id="text as input"),
        pytest.param(with_columns(img=[[["deep"]]]), "", "'img' holds text", id="lists of text"),
        pytest.param(with_columns(img=[[1.0], [1.0, 2.0]], label=[0, 1]), "", "different", id="ragged rows"),
        pytest.param(with_columns(img=[[1.0, None]]), "", "lists with missing values", id="missing number"),
        pytest.param(with_columns(img=NO_BYTES), "", "'img' has missing", id="no bytes"),
        pytest.param(with_columns(img=[[]]), "", "'img' holds empty lists", id="empty lists"),
        pytest.param(
            with_columns(label=pa.array([2**63], pa.uint64())), "", "'label' cannot be used", id="too large"
        ),
        pytest.param(one_name, ".inputColumn", "has 2 columns of this name", id="columns of one name"),
        pytest.param(two_lengths, "", "d-1.parquet', whose rows differ", id="files that differ"),
    ],
)
def test_bad_files_are_refused(make, path, words, write_parquet, cache):
    with pytest.raises(InputError, match=words) as caught:
        open_source(parquet(make(write_parquet)), FIELD, cache)
    assert [violation.path for violation in caught.value.violations] == [FIELD + path]
    assert "\n" not in str(caught.value)
