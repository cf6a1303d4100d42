import pytest

from reconciling.cluster_contract import Bench, ClusterContract
from reconciling.fake_cluster import FakeCluster


class TestFakeCluster(ClusterContract):
    @pytest.fixture
    def bench(self):
        cluster = FakeCluster()

        def make_job(name):
            cluster.apply_job(
                {"kind": "SplitTrainingJob", "metadata": {"name": name, "namespace": "default"}, "spec": {}}
            )

        return Bench(cluster, "default", make_job)
