from pathlib import Path

import numpy as np
import pytest
import torch

from pslgs.data.loading import open_all_training_data, open_evaluation_data, open_training_data
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError

DIGITS = {"format": "ScikitLearn", "name": "digits", "split": "Train"}
TEST = DIGITS | {"split": "Test"}
SKEWED = {"scheme": "ExtendedDirichlet", "clients": 4, "classesPerClient": 3}
CIFAR = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10"


def spec(train=DIGITS, **fields) -> DataSpec:
    return DataSpec.model_validate({"train": train} | fields)


def opened(data, cache, index=None, client="edge-0", seed=0):
    return open_training_data(data, client_id=client, partition_index=index, seed=seed, cache=cache)


def test_without_a_partition_a_client_has_all_that_it_reads(cache):
    local = opened(spec(), cache)
    assert local.samples == 1437
    assert local.input_shape == (64,)
    assert local.labels[:3].tolist() == [1, 2, 3]


def test_the_shares_of_a_partition_are_all_samples_once(cache):
    data = spec(partition=SKEWED)
    shares = [opened(data, cache, index) for index in range(4)]
    assert sum(share.samples for share in shares) == 1437
    assert all(len(np.unique(share.labels)) <= 3 for share in shares)
    together = np.concatenate([share.labels for share in shares])
    assert np.bincount(together).tolist() == np.bincount(opened(spec(), cache).labels).tolist()


def test_a_share_depends_on_the_number_and_the_seed_and_not_on_the_clients_name(cache):
    data = spec(partition=SKEWED)
    share = opened(data, cache, 1)
    assert np.array_equal(share.labels, opened(data, cache, 1, client="another").labels)
    assert not np.array_equal(share.labels, opened(data, cache, 1, seed=1).labels)


def test_all_shares_at_once_are_those_that_clients_open(cache):
    data = spec(partition=SKEWED)
    names = [f"edge-{i}" for i in range(4)]
    for i, share in enumerate(open_all_training_data(data, names, seed=3, cache=cache)):
        alone = opened(data, cache, i, client=names[i], seed=3)
        assert np.array_equal(share.labels, alone.labels)
        assert torch.equal(share.batch(2, 0, 5).inputs, alone.batch(2, 0, 5).inputs)


def test_without_a_partition_every_client_opens_its_own(tmp_path, cache):
    for i in range(2):
        np.savez(tmp_path / f"edge-{i}.npz", x=np.full((3 + i, 2), i), y=[i] * (3 + i))
    data = spec({"format": "NumPy", "path": str(tmp_path / "{client}.npz")})
    first, second = open_all_training_data(data, ["edge-0", "edge-1"], seed=0, cache=cache)
    assert (first.samples, second.samples) == (3, 4)
    assert second.in_order(0, 1).inputs.tolist() == [[1, 1]]


def test_a_share_may_be_empty(tmp_path, cache):
    np.savez(tmp_path / "d.npz", x=np.ones((2, 5)), y=[0, 1])
    data = spec(
        {"format": "NumPy", "path": str(tmp_path / "d.npz")}, partition={"scheme": "IID", "clients": 3}
    )
    shares = [opened(data, cache, index) for index in range(3)]
    assert [share.samples for share in shares] == [1, 1, 0]
    assert shares[2].input_shape == (5,)


def test_the_server_evaluates_all(cache):
    local = open_evaluation_data(spec(evaluation=TEST, partition=SKEWED), cache=cache)
    assert local.samples == 360
    assert local.in_order(0, 3).labels.tolist() == [0, 5, 0]


def test_clients_divide_one_evaluation_dataset_at_random(cache):
    data = spec(evaluation=TEST | {"at": "Clients"}, partition=SKEWED)
    shares = [
        open_evaluation_data(data, client_id=f"edge-{i}", partition_index=i, seed=0, cache=cache)
        for i in range(4)
    ]
    assert [share.samples for share in shares] == [90] * 4
    assert all(len(np.unique(share.labels)) == 10 for share in shares)


def test_clients_evaluate_their_own_files(tmp_path, cache):
    np.savez(tmp_path / "edge-1.npz", x=np.ones((3, 64)), y=[0, 1, 2])
    own = {"format": "NumPy", "path": str(tmp_path / "{client}.npz"), "at": "Clients"}
    for partition in (None, SKEWED):
        data = spec(evaluation=own, partition=partition)
        assert open_evaluation_data(data, client_id="edge-1", cache=cache).samples == 3


def test_an_evaluation_is_not_augmented(tmp_path, cache):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", x=images, y=range(4))
    data = spec(
        {"format": "NumPy", "path": str(tmp_path / "train.npz")},
        evaluation={"format": "NumPy", "path": str(tmp_path / "test.npz")},
        transforms=[{"name": "RandomCrop", "size": 8, "padding": 4}],
    )
    plain = torch.from_numpy(images) / 255
    assert torch.allclose(open_evaluation_data(data, cache=cache).in_order(0, 4).inputs, plain)
    assert not torch.allclose(opened(data, cache).in_order(0, 4).inputs, plain)


def test_a_missing_evaluation_is_the_callers_mistake(cache):
    with pytest.raises(ValueError, match=r"no spec\.data\.evaluation"):
        open_evaluation_data(spec(), cache=cache)


@pytest.mark.parametrize(
    ("index", "path", "words"),
    [
        pytest.param(None, "spec.data.partition", "'edge-0' was given no number", id="no number"),
        pytest.param(4, "spec.data.partition.clients", "is 4, so 'edge-0', number 4", id="too high"),
        pytest.param(-1, "spec.data.partition.clients", "has no part", id="negative"),
    ],
)
def test_a_client_without_a_share_is_refused(index, path, words, cache):
    with pytest.raises(InputError, match=words) as caught:
        opened(spec(partition=SKEWED), cache, index)
    assert caught.value.violations[0].path == path


def test_bad_data_are_refused_at_the_source_that_has_them(tmp_path, cache):
    missing = {"format": "Parquet", "path": str(tmp_path / "none.parquet")}
    with pytest.raises(InputError) as training:
        opened(spec(missing), cache)
    with pytest.raises(InputError) as evaluation:
        open_evaluation_data(spec(evaluation=missing), cache=cache)
    assert training.value.violations[0].path == "spec.data.train.path"
    assert evaluation.value.violations[0].path == "spec.data.evaluation.path"


@pytest.mark.skipif(not CIFAR.is_dir(), reason="CIFAR-10 in Parquet is not here")
def test_cifar10_is_dealt_out_to_sixteen_clients(cache):
    """The smaller of the two files, so that the test stays quick."""
    data = spec(
        {"format": "Parquet", "path": str(CIFAR / "test-*.parquet")},
        partition={"scheme": "ExtendedDirichlet", "clients": 16, "classesPerClient": 2},
        transforms=[{"name": "RandomCrop", "size": 32, "padding": 4}, {"name": "RandomHorizontalFlip"}],
    )
    shares = open_all_training_data(data, [f"edge-{i}" for i in range(16)], seed=0, cache=cache)
    assert np.bincount(np.concatenate([share.labels for share in shares])).tolist() == [1000] * 10
    batch = shares[5].batch(0, 0, 8)
    assert batch.inputs.shape == (8, 3, 32, 32)
    assert 0 <= batch.inputs.min() < batch.inputs.max() <= 1
    assert set(batch.labels.tolist()) <= set(shares[5].labels.tolist())
