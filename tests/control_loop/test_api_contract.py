"""The real API server does what the one in memory does."""

import asyncio

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from reconciling.api_contract import Api, ApiContract

PATIENCE = 60.0


class TestRealApi(ApiContract):
    @pytest.fixture
    async def api(self, defined, namespace):
        configuration = Configuration()
        await load_kube_config(config_file=str(defined.kubeconfig), client_configuration=configuration)

        async def eventually(look):
            async with asyncio.timeout(PATIENCE):
                while not await look():
                    await asyncio.sleep(0.1)

        async with ApiClient(configuration) as client:
            yield Api(client, namespace, eventually)
