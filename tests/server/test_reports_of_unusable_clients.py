"""A client that cannot use its data tells the server over gRPC, and the job ends with its words."""

from pathlib import Path

import pytest

from pslgs.client import failure_report
from pslgs.client.main import ClientOptions, run_client
from pslgs.server import main
from pslgs.spec import ExitCode, InputError
from pslgs.telemetry.journal import read
from pslgs.transport.v1.training_pb2 import Hello
from server.test_agreeing_on_a_shape import SHAPE, client, collected, job, serving
from transport.loopback import receive_all
from transport.loopback import serving as serving_frames

__all__ = ["collected"]
pytestmark = pytest.mark.timeout(120)


def options(address: str, seconds: float = 30.0) -> ClientOptions:
    return ClientOptions("a", address, None, Path("cache"), cores=1, connect_timeout_seconds=seconds)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(None, id="while-the-server-learns-the-shape"),
        pytest.param(SHAPE, id="while-the-coordinator-waits"),
    ],
)
async def test_the_job_ends_with_the_clients_words_though_another_client_is_fine(
    shape, tmp_path, monkeypatch
):
    monkeypatch.setattr(main, "GRACE_SECONDS", 0.1)  # for those that wait to be told a shape
    manifest = job(shape=shape)
    async with serving(manifest, tmp_path, clients=3) as server, client(server, "b", SHAPE):
        with pytest.raises(InputError, match=r"^spec\.data\.train\.path: .*/nowhere"):
            await run_client(manifest.spec, options(await server.address()))
        code, message = await server.serving
    assert code is ExitCode.BAD_INPUT
    assert message.startswith("client a: spec.data.train.path: ")
    assert "/nowhere" in message
    finish = read(tmp_path / "run" / "metrics.jsonl")[-1]
    assert (finish.outcome, finish.message) == ("BAD_INPUT", message)


async def test_a_server_that_does_not_know_the_message_does_not_keep_the_client(monkeypatch):
    monkeypatch.setattr(failure_report, "ANSWER_SECONDS", 0.05)
    async with serving_frames(receive_all) as served:
        with pytest.raises(InputError, match="nowhere"):
            await run_client(job().spec, options(served.address))


async def test_a_client_that_reaches_no_server_says_what_is_wrong_with_its_data():
    with pytest.raises(InputError, match="nowhere"):
        await run_client(job().spec, options("127.0.0.1:1", seconds=0.1))


def test_the_message_of_an_earlier_version_has_no_failure():
    assert Hello.FromString(Hello(client_id="a", samples=3).SerializeToString()).failure == ""
