"""Problems of clients that do not take part; at most one for each."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pslgs.spec import ExitCode, ServerPhase
from pslgs_operator.assessment.membership import Membership
from pslgs_operator.assessment.pod_problems import failed, pod_problem
from pslgs_operator.assessment.view import MOVING, View
from pslgs_operator.placement import Placement
from pslgs_operator.snapshot import ChildJob, ChildJobState, Problem
from pslgs_operator.text import listing, plain


class Failure(NamedTuple):
    """A client that failed for good: it could not use its input, or the server refuses or dropped it."""

    placement: Placement
    job: ChildJob
    said: str


def failures(view: View) -> list[Failure]:
    """List the clients that failed for good, with the present spec, in order."""
    found = []
    for placement in view.placements.clients:
        child = view.snapshot.clients.get(placement.client)
        if (
            child is None
            or child.deleting
            or child.state is not ChildJobState.FAILED
            or _is_outdated(view, child)
        ):
            continue
        pods = view.client_pods.get(placement.client, ())
        said = failed(pods[0]) if pods else child.message or child.reason
        found.append(Failure(placement, child, said))
    return found


def client_problems(view: View, members: Membership) -> Iterator[Problem]:
    """Yield the troubles: who failed for good, whose node is away, who was lost, whose pod does not run."""
    failed_for_good = failures(view)
    for each in failed_for_good:
        yield Problem(
            "ClientFailed",
            f"client {each.placement.client} on node {each.placement.node} failed and is not tried again: "
            f"{each.said}; when that is mended: kubectl delete job {each.job.name}",
        )
    done = members.live.union(each.placement.client for each in failed_for_good)
    absent = [each for each in view.placements.clients if each.client not in done]
    away = [each for each in absent if not view.is_ready(each.node)]
    yield from _away(view, members, away)
    yield from _gone(view, members)
    here = [each for each in absent if view.is_ready(each.node)]
    in_pods = {each.client: trouble for each in here if (trouble := _of_pods(view, each.client))}
    lost = [each.client for each in here if each.client in members.lost and each.client not in in_pods]
    if lost:
        yield Problem("ClientLost", f"{_clients(lost)} lost{_consequence(view, members)}")
    yield from in_pods.values()


def _away(view: View, members: Membership, away: Sequence[Placement]) -> Iterator[Problem]:
    for reason, is_meant, what in (("ClientLost", True, "lost"), ("NodeNotReady", False, "not there")):
        here = [each for each in away if (each.client in members.lost) is is_meant]
        if here:
            nodes = list(dict.fromkeys(each.node for each in here))
            are, their = ("are", "their") if len(nodes) > 1 else ("is", "its")
            yield Problem(
                reason,
                f"{_noun('node', nodes)} {listing(nodes)} {are} not ready; {their} "
                f"{_clients([each.client for each in here])} {what}{_consequence(view, members)}",
            )


def _gone(view: View, members: Membership) -> Iterator[Problem]:
    gone = sorted(members.lost - {each.client for each in view.placements.clients})
    if gone:
        yield Problem(
            "ClientLost",
            f"{_clients(gone)} lost: no node for {'it' if len(gone) == 1 else 'them'} has the labels of "
            f"spec.clients.nodeSelector any more{_consequence(view, members)}",
        )


def _of_pods(view: View, client: str) -> Problem | None:
    pods = view.client_pods.get(client, ())
    if found := pod_problem(pods, view.nodes, view.now):
        return found
    answering = view.report is not None and view.report.phase in {ServerPhase.WAITING, *MOVING}
    if pods and answering and pods[0].exit_code == ExitCode.SERVER_UNREACHABLE:
        return Problem(
            "ServerUnreachable",
            f"{failed(pods[0])}; where nodes cannot reach pods of others, set spec.server.service.type to "
            "NodePort or LoadBalancer",
        )
    return None


def _consequence(view: View, members: Membership) -> str:
    if view.moving:
        return f"; the training goes on with {len(members.live)} of {members.expected} clients"
    if view.report is not None and view.report.phase == ServerPhase.WAITING:
        return f"; the training waits: {plain(view.report.message)}"
    return ""


def _is_outdated(view: View, child: ChildJob) -> bool:
    """Return whether the job was changed after this failed, so that it will be made anew."""
    return view.training_start_time is None and child.spec_digest != view.job.spec_digest


def _clients(names: Sequence[str]) -> str:
    return f"{_noun('client', names)} {listing(names)} {'is' if len(names) == 1 else 'are'}"


def _noun(word: str, names: Sequence[str]) -> str:
    return word if len(names) == 1 else f"{word}s"
