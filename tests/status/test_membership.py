"""Who takes part and who was lost, from one look to the next."""

from dataclasses import replace

from pslgs_operator.snapshot import Snapshot
from pslgs_operator.status.types import Clients, JobStatus
from status.sights import CLIENTS, assessed, job, nodes, server_pod, server_reply, sight, with_server

EDGES = [f"edge-{number:03}" for number in range(30)]
MANY = tuple(f"{edge}-0" for edge in EDGES)


def heard(*live: str, lost: tuple[str, ...] = (), old: Clients | None = None) -> Clients:
    status = JobStatus(clients=old or Clients())
    return assessed(sight(server_reply=server_reply(live=live, lost=lost)), job(status=status)).clients


def test_clients_count_as_live_when_the_server_says_so() -> None:
    assert heard("edge-0-0", "edge-1-0") == Clients(expected=3, live=2)


def test_without_a_report_nobody_is_live() -> None:
    assert assessed(with_server(server_pod())).clients == Clients(expected=3)


def test_a_report_of_a_server_that_does_not_run_any_more_is_void() -> None:
    assert assessed(Snapshot(nodes=nodes(), server_reply=server_reply())).clients == Clients(expected=3)


def test_who_was_lost_stays_so_until_a_server_says_that_it_is_back() -> None:
    lost = heard("edge-0-0", "edge-2-0", lost=("edge-1-0",))
    assert lost == Clients(3, 2, ("edge-1-0",), 1)
    silent = assessed(with_server(server_pod()), job(status=JobStatus(clients=lost))).clients
    assert silent == Clients(3, 0, ("edge-1-0",), 1)
    fresh_server = heard("edge-0-0", old=silent)
    assert fresh_server == Clients(3, 1, ("edge-1-0",), 1)
    assert heard(*CLIENTS, old=fresh_server) == Clients(3, 3)


def test_a_client_whose_node_is_gone_is_still_expected() -> None:
    seen = sight(
        nodes=nodes(edges=("edge-0",)), server_reply=server_reply(live=("edge-0-0",), lost=("edge-1-0",))
    )
    assert assessed(seen).clients == Clients(2, 1, ("edge-1-0",), 1)


def test_at_most_twenty_are_named_and_they_keep_being_named() -> None:
    seen = sight(nodes=nodes(edges=EDGES), server_reply=server_reply(live=(), lost=MANY[5:]))
    first = assessed(seen)
    assert (len(first.clients.lost), first.clients.lost_count, first.clients.expected) == (20, 25, 30)
    more = replace(seen, server_reply=server_reply(live=(), lost=MANY))
    assert assessed(more, job(status=first)).clients.lost == first.clients.lost
