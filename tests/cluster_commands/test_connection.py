"""The connection to a cluster: what the ``kubernetes`` package sends, and what its answers become."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster_commands.loopback_api import LoopbackApi, served
from pslgs.cluster.access import ClusterError, CommandFailedError, NotFoundError
from pslgs.cluster.connection import Connection, connect
from pslgs.spec import InputError

PODS = "/api/v1/namespaces/lab/pods"


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    """A server without objects."""
    with served(LoopbackApi()) as running:
        yield running


@pytest.fixture
def connection(api: LoopbackApi, tmp_path: Path) -> Iterator[Connection]:
    """A connection to the namespace ``lab``."""
    with closing(connect(api.kubeconfig(tmp_path), None, "lab")) as connected:
        yield connected


def test_objects_are_read_created_and_deleted(api: LoopbackApi, connection: Connection) -> None:
    created = connection.create(PODS, {"metadata": {"generateName": "a-"}})
    assert connection.read(f"{PODS}/{created['metadata']['name']}") == created
    connection.delete(f"{PODS}/a-0")
    connection.delete(f"{PODS}/a-0")
    with pytest.raises(NotFoundError, match="a-0 not found"):
        connection.read(f"{PODS}/a-0")


def test_what_is_refused_is_said_in_the_servers_words(connection: Connection) -> None:
    with pytest.raises(
        ClusterError, match=f'refuses POST {PODS}: pods is forbidden: User "eve" cannot create'
    ):
        connection.create(PODS, {"metadata": {"generateName": "refused-"}})


def test_a_command_gives_its_output_byte_for_byte(connection: Connection, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4_000
    (tmp_path / "file").write_bytes(content)
    assert connection.run("a", "server", ["cat", str(tmp_path / "file")]) == content
    assert connection.run("a", "server", ["true"]) == b""


def test_a_command_that_fails_tells_code_and_words(connection: Connection) -> None:
    with pytest.raises(CommandFailedError, match="No such file") as raised:
        connection.run("a", "server", ["cat", "/nowhere"])
    assert raised.value.exit_code == 1


def test_a_command_whose_connection_breaks_has_no_result(api: LoopbackApi, connection: Connection) -> None:
    api.outcome = None
    with pytest.raises(ClusterError, match="the connection to a broke"):
        connection.run("a", "server", ["true"])


def test_a_command_that_cannot_be_run_says_why(api: LoopbackApi, connection: Connection) -> None:
    api.outcome = {"status": "Failure", "message": "exec: cat: executable file not found"}
    with pytest.raises(ClusterError, match="cannot be run: exec: cat: executable file not found"):
        connection.run("a", "server", ["true"])


def test_a_forbidden_command_is_said_in_the_servers_words(connection: Connection) -> None:
    with pytest.raises(
        ClusterError, match="the connection to forbidden cannot be had: pods forbidden: no exec"
    ):
        connection.run("forbidden", "server", ["true"])


def test_a_page_comes_through_a_forwarded_port(api: LoopbackApi, connection: Connection) -> None:
    api.status_page = b"x" * 300_000
    assert connection.page("a", 8080, "/status") == api.status_page
    assert api.asked == [("GET", f"{PODS}/a/portforward")]


def test_a_port_that_refuses_gives_no_page(api: LoopbackApi, connection: Connection) -> None:
    api.status_page = None
    assert connection.page("a", 8080, "/status") is None


def test_lines_of_a_log_are_whole(api: LoopbackApi, connection: Connection) -> None:
    api.logs = {"a": ["é" * 50_000, "", "last"]}
    assert list(connection.log("a", "server", follow=False, tail=None)) == api.logs["a"]
    assert list(connection.log("a", "server", follow=True, tail=1)) == ["last"]
    with pytest.raises(ClusterError, match="is waiting to start"):
        list(connection.log("b", "server", follow=False, tail=None))


def test_a_server_that_cannot_be_reached_is_an_error(api: LoopbackApi, tmp_path: Path) -> None:
    lost = connect(api.kubeconfig(tmp_path), "elsewhere", None)
    for ask in (
        lambda: lost.read("/api"),
        lambda: lost.run("a", "server", ["true"]),
        lambda: lost.page("a", 8080, "/"),
    ):
        with pytest.raises(ClusterError, match="refused"):
            ask()


NAMESPACES: dict[str, tuple[str, str | None, str]] = {
    "given": ("team", "lab", "lab"),
    "of the context": ("team", None, "team"),
    "of nobody": ("", None, "default"),
}


@pytest.mark.parametrize(("own", "given", "taken"), NAMESPACES.values(), ids=NAMESPACES.keys())
def test_the_namespace_is_chosen_as_by_kubectl(
    own: str, given: str | None, taken: str, tmp_path: Path
) -> None:
    assert connect(LoopbackApi(port=1).kubeconfig(tmp_path, own), None, given).namespace == taken


BAD: dict[str, tuple[Callable[[Path], tuple[Path, str | None]], str]] = {
    "no file": (lambda folder: (folder / "none", None), "--kubeconfig: cannot be used"),
    "no context": (
        lambda folder: (LoopbackApi(port=1).kubeconfig(folder), "there"),
        "--context: is 'there', but the contexts are here, elsewhere",
    ),
}


@pytest.mark.parametrize(("make", "problem"), BAD.values(), ids=BAD.keys())
def test_a_kubeconfig_that_cannot_be_used_is_an_error(
    make: Callable[[Path], tuple[Path, str | None]], problem: str, tmp_path: Path
) -> None:
    kubeconfig, context = make(tmp_path)
    with pytest.raises(InputError, match=problem):
        connect(kubeconfig, context, None)
