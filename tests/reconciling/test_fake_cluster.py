import pytest

from reconciling.cluster_contract import Bench, ClusterContract
from reconciling.fake_cluster import FakeCluster


class TestFakeCluster(ClusterContract):
    @pytest.fixture
    async def bench(self):
        cluster = FakeCluster()

        def make_job(name):
            cluster.apply_job(
                {"kind": "SplitTrainingJob", "metadata": {"name": name, "namespace": "default"}, "spec": {}}
            )

        return await Bench.open(
            cluster, "default", make_job, cluster.keep, lambda kind, name: cluster.of(kind)[name]
        )
