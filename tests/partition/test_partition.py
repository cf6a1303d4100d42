import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.sampling.partition import hold_classes, partition, partition_extended_dirichlet, partition_iid
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.strategies.fixed_local import fixed_local_schedule
from pslgs.sampling.strategies.fixed_proportional_local import fixed_proportional_schedule
from pslgs.spec.errors import InputError
from pslgs.spec.partition import Partition, PartitionScheme


def rng(seed: int = 0) -> np.random.Generator:
    return generator(seed, Purpose.PARTITION)


def pooled(shares) -> list[int]:
    return sorted(np.concatenate(shares).tolist())


@given(samples=st.integers(0, 500), clients=st.integers(1, 40), seed=st.integers(0, 9))
def test_iid_shares_are_disjoint_complete_ascending_and_equally_large(samples, clients, seed):
    shares = partition_iid(samples, clients, rng(seed))
    assert pooled(shares) == list(range(samples))
    assert all((np.diff(share) > 0).all() for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@st.composite
def skewed_datasets(draw):
    classes = draw(st.integers(1, 8))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=200))
    per_client = draw(st.integers(1, len(set(labels))))
    return (
        np.array(labels),
        draw(st.integers(1, 20)),
        per_client,
        draw(st.floats(0.1, 10)),
        draw(st.integers(0, 99)),
    )


@given(skewed_datasets())
def test_extended_dirichlet_shares_are_disjoint_and_hold_at_most_c_classes(dataset):
    labels, clients, per_client, concentration, seed = dataset
    shares = partition_extended_dirichlet(labels, clients, per_client, concentration, rng(seed))
    assert len(shares) == clients
    indices = np.concatenate(shares)
    assert len(np.unique(indices)) == len(indices)
    assert all((np.diff(share) > 0).all() for share in shares)
    assert all(len(np.unique(labels[share])) <= per_client for share in shares)


@given(skewed_datasets())
def test_extended_dirichlet_leaves_out_only_whole_classes_and_none_where_the_clients_can_hold_all(dataset):
    labels, clients, per_client, concentration, seed = dataset
    shares = partition_extended_dirichlet(labels, clients, per_client, concentration, rng(seed))
    left_out = np.setdiff1d(np.arange(len(labels)), np.concatenate(shares))
    held = set(labels[np.concatenate(shares)].tolist())
    assert held.isdisjoint(labels[left_out].tolist())
    if clients * per_client >= len(set(labels.tolist())):
        assert len(left_out) == 0


@given(clients=st.integers(1, 30), classes=st.integers(1, 12), data=st.data(), seed=st.integers(0, 99))
def test_every_client_holds_exactly_c_classes_and_every_class_has_a_holder(clients, classes, data, seed):
    per_client = data.draw(st.integers(1, classes))
    holds = hold_classes(clients, classes, per_client, rng(seed))
    assert (holds.sum(axis=1) == per_client).all()
    if clients * per_client >= classes:
        assert holds.any(axis=0).all()


def test_every_class_has_a_holder_where_chance_alone_would_leave_one_out():
    random = rng()
    assert all(hold_classes(2, 2, 1, random).any(axis=0).all() for _ in range(200))


def test_classes_are_chosen_by_the_law_of_the_paper():
    # The second of two clients with one of three classes: the used class has weight exp(-3), the others 1.
    repeats = 4000
    random = rng()
    same = sum((hold_classes(2, 3, 1, random).sum(axis=0) == 2).any() for _ in range(repeats))
    expected = np.exp(-3) / (2 + np.exp(-3))
    assert same / repeats == pytest.approx(expected, abs=4 * np.sqrt(expected / repeats))


def test_classes_stay_balanced_when_many_clients_use_them():
    holds = hold_classes(3000, 10, 2, rng())
    assert np.ptp(holds.sum(axis=0)) <= 2


def test_a_class_is_divided_by_a_dirichlet_draw():
    # Two holders, α = 3: the first one's share is Beta(3, 3), with variance 1/28.
    labels = np.zeros(400, dtype=np.int64)
    random = rng()
    shares = [len(partition_extended_dirichlet(labels, 2, 1, 3.0, random)[0]) / 400 for _ in range(2000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert np.var(shares) == pytest.approx(1 / 28, rel=0.12)


@pytest.mark.parametrize("scheme", list(PartitionScheme), ids=str)
def test_a_partition_is_the_seeds(scheme):
    labels = np.repeat(np.arange(10), 30)
    spec = Partition(scheme=scheme, clients=8)
    first, again, other = (partition(spec, labels, rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("per_client", "schedule", "known"),
    [
        pytest.param(2, fixed_proportional_schedule, 422, id="severe FPLS"),
        pytest.param(5, fixed_proportional_schedule, 422, id="mild FPLS"),
        pytest.param(2, fixed_local_schedule, 664, id="severe FLS"),
        pytest.param(5, fixed_local_schedule, 565, id="mild FLS"),
    ],
)
def test_the_papers_baselines_need_as_many_steps_as_known(per_client, schedule, known):
    """The known figures are means over 10 partitions of CIFAR-10 for 16 clients, B = 128."""
    labels = np.repeat(np.arange(10), 5000)
    partitions = (partition_extended_dirichlet(labels, 16, per_client, 3.0, rng(seed)) for seed in range(40))
    steps = [len(schedule([len(share) for share in shares], 128)) for shares in partitions]
    assert np.mean(steps) == pytest.approx(known, abs=3 * np.std(steps) * np.sqrt(1 / 40 + 1 / 10))


def dirichlet(**changes) -> Partition:
    fields = {"scheme": PartitionScheme.EXTENDED_DIRICHLET, "clients": 4, "classes_per_client": 3} | changes
    return Partition(**fields)


@pytest.mark.parametrize(
    ("spec", "labels", "path", "words"),
    [
        pytest.param(dirichlet(), np.full(9, 0.5, np.float32), "scheme", "needs classes", id="targets"),
        pytest.param(
            dirichlet(classes_per_client=11),
            np.arange(10),
            "classesPerClient",
            "only 10 classes",
            id="more classes than are",
        ),
        pytest.param(
            dirichlet(clients=3),
            np.arange(10),
            "classesPerClient",
            "choose at least 4",
            id="classes that nobody holds",
        ),
    ],
)
def test_a_partition_that_cannot_be_made_is_refused(spec, labels, path, words):
    with pytest.raises(InputError, match=words) as caught:
        partition(spec, labels, rng())
    assert caught.value.violations[0].path == f"spec.data.partition.{path}"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: partition_iid(5, 0, rng()), id="no clients"),
        pytest.param(
            lambda: partition_extended_dirichlet(np.arange(5), 0, 1, 3.0, rng()), id="no skewed clients"
        ),
        pytest.param(
            lambda: partition_extended_dirichlet(np.arange(5), 2, 1, 0.0, rng()), id="no concentration"
        ),
        pytest.param(lambda: hold_classes(2, 3, 4, rng()), id="more classes than are"),
        pytest.param(lambda: hold_classes(2, 3, 0, rng()), id="no classes"),
    ],
)
def test_numbers_out_of_range_are_errors(make):
    with pytest.raises(ValueError, match=r"must be|clients"):
        make()
