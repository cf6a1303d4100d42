import pytest

from fake_api.answers import StatusError
from fake_api.client import FakeApiClient
from fake_api.server import FakeApiServer, Request
from reconciling.api_contract import Api, ApiContract, config


class TestFakeApi(ApiContract):
    @pytest.fixture
    def api(self):
        server = FakeApiServer()

        async def handle(request):
            return server.handle(request)

        async def at_once(look):
            assert await look()

        return Api(FakeApiClient(handle), "default", at_once)


def test_a_watch_from_before_the_log_was_compacted_is_too_old():
    server = FakeApiServer()
    configs = "/api/v1/namespaces/default/configmaps"
    server.handle(Request("POST", configs, body=config("a")))
    server.storage.compact()
    with pytest.raises(StatusError) as refused:
        list(server.watch(Request("GET", configs, {"resourceVersion": "0"})))
    assert refused.value.status == 410


def test_a_watch_that_wants_bookmarks_is_told_how_far_it_is():
    server = FakeApiServer()
    configs = "/api/v1/namespaces/default/configmaps"
    server.handle(Request("POST", configs, body=config("a")))
    query = {"resourceVersion": "1", "allowWatchBookmarks": "true"}
    [bookmark] = server.watch(Request("GET", configs, query))
    assert (bookmark["type"], bookmark["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", "1")
