from pathlib import Path

import pytest

from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.api import simulate
from pslgs.simulation.job_variants import Skew, job_variant
from pslgs.spec import InputError, PartitionScheme, SamplingStrategy, load_job
from simulation.jobs import job

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["digits", "cifar10"], ids=str)
def test_what_is_not_varied_stays(name):
    original = load_job(EXAMPLES / f"{name}.yaml")
    there = job_variant(original, seed=17, strategy=STRATEGIES["FixedLocal"])
    assert (there.spec.sampling.seed, there.spec.sampling.strategy) == (17, SamplingStrategy.FIXED_LOCAL)
    assert job_variant(there, seed=0, strategy=STRATEGIES["Global"]) == original


def test_a_skew_has_the_papers_numbers():
    severe, mild, iid = (job_variant(job(), skew=skew, clients=32).spec.data.partition for skew in Skew)
    assert (severe.classes_per_client, severe.concentration, severe.clients) == (2, 3.0, 32)
    assert (mild.classes_per_client, mild.concentration) == (5, 3.0)
    assert iid.scheme is PartitionScheme.IID


def test_more_clients_keep_the_jobs_own_partition():
    partition = job_variant(job(), clients=20).spec.data.partition
    assert (partition.scheme, partition.clients) == (PartitionScheme.EXTENDED_DIRICHLET, 20)


def test_a_baseline_leaves_the_manifests_strategy_alone():
    assert job_variant(job(), strategy=STRATEGIES["FederatedAveraging"]) == job()


def test_pooled_data_do_not_fall_below_the_quorum():
    wanting = job(faultTolerance={"minAvailableClients": 8})
    assert job_variant(wanting, strategy=STRATEGIES["Centralized"]).spec.data.partition.clients == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"strategy": "Globl"}, "strategy: is 'Globl', must be one of Global.*did you mean Global"),
        ({"partition": "harsh"}, "partition: is 'harsh', must be one of severe, mild, iid"),
        ({"clients": 2, "partition": "severe"}, "cannot hold all 10 classes"),
        ({"profile": "lan:0.5,lta:0.5"}, "did you mean"),
    ],
    ids=["strategy", "partition", "too few clients", "profile"],
)
def test_arguments_that_cannot_be_used_are_refused_in_a_sentence(arguments, problem):
    with pytest.raises(InputError, match=problem):
        simulate(job(), **arguments, schedule_only=True)


def test_data_of_their_own_are_not_dealt_out():
    own = job(data={"train": {"format": "NumPy", "path": "/data/{client}.npz"}})
    with pytest.raises(InputError, match="each client has its own"):
        job_variant(own, clients=3)


def test_without_a_partition_the_number_of_clients_has_to_be_said():
    common = job(data={"train": {"format": "ScikitLearn", "name": "digits"}})
    with pytest.raises(InputError, match="say how many clients"):
        job_variant(common, skew=Skew.SEVERE)
    with pytest.raises(InputError, match=r"spec\.data\.partition: is missing"):
        simulate(common, schedule_only=True)
