"""With onDamagedSample: Skip, damaged samples and those that are not finite are never drawn."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from pslgs.data.left_out import counts_by_reason
from pslgs.data.loading import open_all_training_data, open_evaluation_data, open_training_data
from pslgs.data.sample_check import (
    CheckCancelledError,
    Checking,
    LoggingWatcher,
    QuietWatcher,
    without_damaged,
)
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError


def data_of(source: dict, **fields) -> DataSpec:
    return DataSpec.model_validate({"train": source, "onDamagedSample": "Skip"} | fields)


def opened(data: DataSpec, cache: Path, checking: Checking | None = None, client: str = "a"):
    options = {} if checking is None else {"checking": checking}
    return open_training_data(data, client_id=client, partition_index=None, seed=0, cache=cache, **options)


def write_arrays(path: Path, bad: dict[int, float] | None = None, samples: int = 8) -> np.ndarray:
    features = np.arange(samples * 2, dtype=np.float32).reshape(samples, 2)
    for row, value in (bad or {}).items():
        features[row, 1] = value
    np.savez(path, x=features, y=np.arange(samples) % 2)
    return features


@pytest.fixture
def images(tmp_path, pixels, as_png) -> Path:
    """Six images, of which a/0 is truncated, a/2 no image at all and b/1 a broken link."""
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "images" / name / f"{i}.png").write_bytes(as_png(pixels[i]))
    (tmp_path / "images/a/0.png").write_bytes(as_png(pixels[0])[:60])
    (tmp_path / "images/a/2.png").write_bytes(b"junk")
    (tmp_path / "images/b/1.png").unlink()
    (tmp_path / "images/b/1.png").symlink_to("nowhere")
    return tmp_path / "images"


@pytest.mark.parametrize("threads", [1, 3], ids=str)
def test_damaged_images_are_left_out_and_named(threads, images, cache):
    data = data_of({"format": "ImageFolder", "path": str(images)})
    dataset = opened(data, cache, Checking(threads))
    assert dataset.labels.tolist() == [0, 1, 1]
    assert counts_by_reason(dataset.left_out) == {"damaged": 3}
    assert "a/0.png" in str(dataset.left_out[0])
    assert dataset.in_order(0, 3).inputs.shape == (3, 3, 8, 6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_features_that_are_not_finite_are_left_out(value, tmp_path, cache):
    features = write_arrays(tmp_path / "a.npz", {0: value, 5: value})
    dataset = opened(data_of({"format": "NumPy", "path": f"{tmp_path}/{{client}}.npz"}), cache)
    kept = [1, 2, 3, 4, 6, 7]
    assert np.array_equal(dataset.in_order(0, 6).inputs, features[kept])
    assert dataset.labels.tolist() == [row % 2 for row in kept]


def test_lists_in_tables_that_are_not_finite_are_left_out(write_parquet, cache):
    column = pa.array([[1.0, 2.0], [math.nan, 1.0], [3.0, 4.0]])
    path = write_parquet("a.parquet", {"img": column, "label": [0, 1, 0]})
    dataset = opened(data_of({"format": "Parquet", "path": str(path)}), cache)
    assert dataset.labels.tolist() == [0, 0]


def test_without_skip_a_damaged_sample_fails_when_it_is_drawn(tmp_path, cache):
    write_arrays(tmp_path / "a.npz", {5: math.nan})
    data = data_of({"format": "NumPy", "path": str(tmp_path / "a.npz")}, onDamagedSample="Fail")
    dataset = opened(data, cache)
    assert (dataset.samples, dataset.left_out) == (8, ())
    with pytest.raises(InputError, match="holds sample 5"):
        dataset.in_order(0, 8)


def test_the_samples_of_an_undamaged_dataset_do_not_depend_on_skip(tmp_path, cache):
    write_arrays(tmp_path / "a.npz")
    skipping, failing = (
        opened(data_of({"format": "NumPy", "path": str(tmp_path / "a.npz")}, onDamagedSample=each), cache)
        for each in ("Skip", "Fail")
    )
    assert torch.equal(skipping.batch(2, 0, 8).inputs, failing.batch(2, 0, 8).inputs)


def test_a_dataset_of_damaged_samples_is_refused(tmp_path, cache):
    write_arrays(tmp_path / "a.npz", dict.fromkeys(range(8), math.nan))
    data = data_of({"format": "NumPy", "path": str(tmp_path / "a.npz")})
    with pytest.raises(InputError, match="has 8 samples, all of them damaged; it holds sample 0"):
        opened(data, cache)


def test_each_client_leaves_out_the_damaged_samples_of_its_part(tmp_path, cache):
    write_arrays(tmp_path / "a.npz", {3: math.nan}, samples=40)
    source = {"format": "NumPy", "path": str(tmp_path / "a.npz")}
    partition = {"scheme": "IID", "clients": 4}
    datasets = open_all_training_data(
        data_of(source, partition=partition), ["a", "b", "c", "d"], seed=1, cache=cache
    )
    whole = open_all_training_data(
        data_of(source, partition=partition, onDamagedSample="Fail"),
        ["a", "b", "c", "d"],
        seed=1,
        cache=cache,
    )
    assert [data.samples for data in whole] == [10] * 4
    assert sorted(data.samples for data in datasets) == [9, 10, 10, 10]
    short = next(data for data in datasets if data.samples == 9)
    assert counts_by_reason(short.left_out) == {"damaged": 1}


def test_evaluation_data_are_checked_too(tmp_path, cache):
    write_arrays(tmp_path / "a.npz")
    write_arrays(tmp_path / "test.npz", {0: math.nan})
    data = data_of(
        {"format": "NumPy", "path": str(tmp_path / "a.npz")},
        evaluation={"format": "NumPy", "path": str(tmp_path / "test.npz")},
    )
    assert open_evaluation_data(data, cache=cache).samples == 7


class Rows:
    """A source whose sample is its number."""

    def __init__(self, samples: int, bad: int | None = None, error: Exception | None = None) -> None:
        self.labels = np.zeros(samples, np.int64)
        self.class_names = None
        self.left_out = ()
        self.is_thread_safe = True
        self.has_text_labels = False
        self.loaded: list[int] = []
        self._bad, self._error = bad, error

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> torch.Tensor:
        self.loaded.append(index)
        if index == self._bad and self._error is not None:
            raise self._error
        return torch.tensor([math.nan if index == self._bad else float(index)])


def test_samples_that_do_not_fit_the_manifest_are_an_error_and_not_left_out():
    source = Rows(4, 2, InputError.at("spec.data.range", "is missing"))
    with pytest.raises(InputError, match="is missing"):
        without_damaged(source, np.arange(4), "spec.data.train")


def test_a_preview_reads_up_to_the_first_sample_that_is_in_order():
    source = Rows(1000, 0)
    kept, _ = without_damaged(source, np.arange(1000), "field", Checking(8, QuietWatcher, up_to_first=True))
    assert (len(kept), source.loaded) == (999, [0, 1])


def test_a_check_ends_when_it_is_cancelled():
    source = Rows(1000)
    with pytest.raises(CheckCancelledError):
        without_damaged(
            source, np.arange(1000), "field", Checking(cancelled=lambda: len(source.loaded) > 100)
        )
    assert len(source.loaded) < 200


def test_the_check_logs_damaged_samples_and_its_progress(caplog):
    seconds = iter(range(0, 1000, 6))
    watcher = LoggingWatcher(lambda: next(seconds))
    with caplog.at_level(logging.INFO):
        without_damaged(Rows(4, 1), np.arange(4), "field", replace(Checking(), watcher=lambda: watcher))
    assert caplog.messages == [
        "left out a damaged sample: the dataset holds sample 1 (counted from 0), "
        "which has values that are not finite",
        "checked 2 of 4 samples",
        "checked 4 of 4 samples",
    ]
