"""Standardised inputs: statistics over the samples of all clients, applied to every batch."""

import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import open_all_training_data, open_evaluation_data
from pslgs.data.standardization import features_of, moments_of, scale_over
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import Standardization

CLIENTS = ["edge-0", "edge-1", "edge-2"]
RNG = np.random.default_rng(0)
SERIES = {
    name: RNG.normal([[5.0], [-100.0]], [[0.1], [20.0]], (size, 2, 6)).astype("float32")
    for name, size in zip(CLIENTS, (7, 1, 4), strict=True)
}
POOLED = np.concatenate(list(SERIES.values())).astype(np.float64)


@pytest.fixture
def job(tmp_path):
    for name, values in SERIES.items():
        np.savez(tmp_path / f"{name}.npz", x=values, y=np.arange(len(values)) % 2)

    def make(mode, **data):
        source = {"format": "NumPy", "path": str(tmp_path / "{client}.npz")}
        return DataSpec.model_validate({"train": source, "standardize": mode} | data)

    return make


def opened(data: DataSpec, cache) -> list[ClientDataset]:
    return open_all_training_data(data, CLIENTS, seed=0, cache=cache)


@pytest.mark.parametrize(
    ("mode", "axes", "features"),
    [("PerFeature", 0, 12), ("PerChannel", (0, 2), 2)],
    ids=["feature", "channel"],
)
def test_the_statistics_equal_those_of_the_pooled_samples(mode, axes, features, job, cache):
    scale = scale_over(job(mode), opened(job(mode), cache))
    assert scale is not None
    assert len(scale.mean) == features
    assert np.allclose(scale.mean, POOLED.mean(axis=axes).ravel(), rtol=1e-12)
    assert np.allclose(scale.deviation, POOLED.std(axis=axes).ravel(), rtol=1e-12)


@pytest.mark.parametrize(("mode", "axes"), [("PerFeature", 0), ("PerChannel", (0, 2))])
def test_all_batches_are_standardised_training_and_evaluation_alike(mode, axes, job, cache, tmp_path):
    evaluation = {"format": "NumPy", "path": str(tmp_path / "edge-0.npz")}
    data = job(mode, evaluation=evaluation)
    datasets = opened(data, cache)
    own = open_evaluation_data(data, cache=cache)
    scale = scale_over(data, datasets)
    for each in (*datasets, own):
        each.standardize(scale)
    together = torch.cat([each.in_order(0, each.samples).inputs for each in datasets]).numpy()
    assert np.allclose(together.mean(axis=axes), 0, atol=1e-5)
    assert np.allclose(together.std(axis=axes), 1, atol=1e-5)
    assert torch.equal(own.in_order(0, 7).inputs, datasets[0].in_order(0, 7).inputs)
    batch = datasets[0].batch(1, 2, 3)
    decoded = datasets[0].decode(1, 2, 3, lambda: False)
    assert torch.equal(batch.inputs, datasets[0].collate(1, 2, decoded).inputs)


def test_random_transforms_do_not_change_the_statistics(cache, tmp_path):
    images = RNG.integers(0, 256, (9, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=images, y=np.zeros(9, int))
    source = {"format": "NumPy", "path": str(tmp_path / "a.npz")}
    plain = DataSpec.model_validate({"train": source, "standardize": "PerChannel"})
    flip = [{"name": "RandomVerticalFlip", "p": 0.5}, {"name": "RandomErasing", "p": 1.0}]
    augmented = DataSpec.model_validate({"train": source, "standardize": "PerChannel", "transforms": flip})
    one, other = (moments_of(each, opened(each, cache)[0]) for each in (plain, augmented))
    assert (one.mean.tobytes(), one.deviations.tobytes()) == (
        other.mean.tobytes(),
        other.deviations.tobytes(),
    )
    assert one.count == 9 * 64
    assert one.mean[0] == pytest.approx(images.mean() / 255, rel=1e-6)


SECONDS = 1_700_000_000 + 7 * np.arange(12)


class Seconds(list):
    """A user's dataset of times."""


def times(kind: str, folder, monkeypatch) -> dict:
    """Write times in seconds since 1970, and a small number, for one client."""
    rows = np.stack([SECONDS, np.arange(12) % 5], axis=1)
    match kind:
        case "NumPy":
            np.savez(folder / "t.npz", x=rows.astype(np.float64), y=np.arange(12) % 2)
            return {"format": "NumPy", "path": str(folder / "t.npz")}
        case "Custom":
            given = Seconds((row, 0) for row in rows)
            monkeypatch.setitem(sys.modules, "times", SimpleNamespace(dataset=lambda: given))
            return {"format": "Custom", "entrypoint": "times:dataset"}
        case "CSV":
            lines = [f"{time},{number},0\n" for time, number in rows.tolist()]
            (folder / "t.csv").write_text("time,number,label\n" + "".join(lines))
            return {"format": "CSV", "path": str(folder / "t.csv"), "inputColumns": ["time", "number"]}
        case _:
            columns = {"time": rows[:, 0], "number": rows[:, 1].astype(np.float32)}
            inputs = {"inputColumns": ["time", "number"]}
            if kind == "lists":
                columns, inputs = {"rows": rows.tolist()}, {"inputColumn": "rows"}
            pq.write_table(pa.table(columns | {"label": [0] * 12}), folder / "t.parquet")
            return {"format": "Parquet", "path": str(folder / "t.parquet")} | inputs


@pytest.mark.parametrize("kind", ["NumPy", "Custom", "CSV", "columns", "lists"])
def test_large_numbers_are_told_apart_after_they_are_standardised(kind, tmp_path, cache, monkeypatch):
    data = DataSpec.model_validate({"train": times(kind, tmp_path, monkeypatch), "standardize": "PerFeature"})
    dataset = open_all_training_data(data, ["a"], seed=0, cache=cache)[0]
    dataset.standardize(scale_over(data, [dataset]))
    inputs = dataset.in_order(0, 12).inputs
    expected = (SECONDS - SECONDS.mean()) / SECONDS.std()
    assert inputs.dtype == torch.float32
    assert inputs[:, 0].numpy() == pytest.approx(expected, abs=1e-6)
    numbers = (np.arange(12) % 5).astype(np.float32)
    mean, deviation = (np.float32(each) for each in (numbers.mean(dtype=float), numbers.std(dtype=float)))
    assert (inputs[:, 1].numpy() == (numbers - mean) / deviation).all()


def test_float64_that_float32_holds_is_standardised_to_the_same_bits(job, cache, tmp_path):
    data = job("PerFeature")
    narrow = opened(data, cache)
    scale = scale_over(data, narrow)
    for name, values in SERIES.items():
        np.savez(tmp_path / f"{name}.npz", x=values.astype(np.float64), y=np.arange(len(values)) % 2)
    wide = opened(data, cache)
    assert scale_over(data, wide).to_json() == scale.to_json()
    for one, other in zip(narrow, wide, strict=True):
        one.standardize(scale)
        other.standardize(scale)
        assert torch.equal(one.in_order(0, one.samples).inputs, other.in_order(0, one.samples).inputs)


def test_numbers_beyond_float32_are_refused_as_before(tmp_path, cache):
    np.savez(tmp_path / "a.npz", x=np.array([[1e300], [1.0]]), y=[0, 1])
    source = {"format": "NumPy", "path": str(tmp_path / "a.npz")}
    data = DataSpec.model_validate({"train": source, "standardize": "PerFeature"})
    with pytest.raises(InputError, match=r"holds sample 0 .* that are not finite"):
        scale_over(data, opened(data, cache)[:1])


def test_no_declaration_leaves_inputs_as_they_are(job, cache):
    data = job("None")
    assert scale_over(data, opened(data, cache)) is None
    assert np.array_equal(opened(data, cache)[0].in_order(0, 7).inputs, SERIES["edge-0"])


def test_more_features_than_a_client_may_state_are_refused_with_a_way_out():
    shape = (3, 64, 64)
    with pytest.raises(InputError, match=r"spec.data.standardize: is PerFeature.*12,288.*use PerChannel"):
        features_of(Standardization.PER_FEATURE, shape)
    assert features_of(Standardization.PER_CHANNEL, shape) == 3
    assert features_of(Standardization.NONE, shape) == 0
