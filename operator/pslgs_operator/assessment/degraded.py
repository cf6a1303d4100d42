"""The condition Degraded: what is wrong with a job."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pslgs_operator.assessment import hints, timeouts
from pslgs_operator.assessment.client_problems import client_problems
from pslgs_operator.assessment.membership import Membership
from pslgs_operator.assessment.pod_problems import pod_problem
from pslgs_operator.assessment.ready import silence
from pslgs_operator.assessment.view import View
from pslgs_operator.ownership import NAME_TAKEN
from pslgs_operator.snapshot import ChildJob, ChildJobState, Problem
from pslgs_operator.status.conditions import ConditionStatus, ConditionUpdate
from pslgs_operator.text import plain


def degraded(view: View, members: Membership) -> ConditionUpdate:
    """Return the condition: whether something is wrong, and what."""
    problems = tuple(find_problems(view, members))
    if not problems:
        return ConditionUpdate(ConditionStatus.FALSE, "AsExpected", "nothing needs attention")
    first, *others = problems
    more = f"; and {len(others)} more" if others else ""
    return ConditionUpdate(ConditionStatus.TRUE, first.reason, f"{first.message}{more}")


def find_problems(view: View, members: Membership) -> Iterator[Problem]:
    """Yield all problems, the most important first, the same for the same observations."""
    yield from _refusals(view)
    if view.placements.problem:
        yield view.placements.problem
    if view.hold:
        return
    server = silence(view) or (None if view.report else pod_problem(view.server_pods, view.nodes, view.now))
    if server:
        yield server
    yield from client_problems(view, members)
    yield from _pods_without_owner(view)
    if view.moving and view.report and view.report.message:
        yield Problem("ServerWarning", f"the server says: {view.report.message}")


def _refusals(view: View) -> Iterator[Problem]:
    for each in view.snapshot.rejections:
        if each.reason == NAME_TAKEN:
            yield Problem(NAME_TAKEN, plain(each.message, 1000))
            continue
        if each.temporary:
            said = f"{each.child} cannot be written: {plain(each.message, 1000)}; the operator tries again"
            yield Problem("WriteFailed", said)
            continue
        yield Problem("RefusedByCluster", f"the cluster refuses {each.child}: {plain(each.message, 1000)}")
    yield from _uncreated_pods(view)


def _pods_without_owner(view: View) -> Iterator[Problem]:
    """Yield a running pod that no Job controls: no new Job is created beside it, and nobody deletes it."""
    jobs = {each.name for each in view.snapshot.jobs}
    pods = (*view.snapshot.earlier_pods, *view.snapshot.pods)
    if left := [pod for pod in pods if not (pod.owner or pod.has_ended or pod.deleting or pod.job in jobs)]:
        more = f", and {len(left) - 1} more" if len(left) > 1 else ""
        yield Problem(
            "PodWithoutOwner",
            f"pod {left[0].name}{more} still runs although its Job is gone, so Job {left[0].job} is not "
            f"created; delete it: kubectl --namespace {view.job.namespace} delete pod {left[0].name}",
        )


def _uncreated_pods(view: View) -> Iterator[Problem]:
    """Yield why the Job controller cannot create pods, or that it created none without an Event."""
    without_pod = sorted(
        (each for each in view.snapshot.jobs if _has_no_pod(view, each)), key=lambda job: job.name
    )
    moved = timeouts.last_creation(view.snapshot)
    if refused := [each for each in without_pod if each.message]:
        said = f"Kubernetes creates no pod for {_jobs(refused)}: {refused[0].message}"
        what_to_do = hints.on_refusal(refused[0].message, view.job.namespace)
        yield Problem("RefusedByCluster", f"{said}; {what_to_do}" if what_to_do else said)
    elif overdue := [each for each in without_pod if _is_overdue(view, each, moved)]:
        minutes = int(timeouts.NEXT_POD.total_seconds() // 60)
        yield Problem(
            "PodsNotCreated",
            f"Kubernetes has created no pod for {_jobs(overdue)} for {minutes} minutes, and no Event says "
            f"why; see kubectl describe job {overdue[0].name}, and check that kube-controller-manager runs",
        )


def _has_no_pod(view: View, child: ChildJob) -> bool:
    if child.deleting or child.suspended or child.state is not ChildJobState.ACTIVE:
        return False
    return not (view.server_pods if child.client is None else view.client_pods.get(child.client))


def _is_overdue(view: View, child: ChildJob, moved: datetime | None) -> bool:
    """Return whether a pod should exist; after failures the Job controller waits, for longer each time."""
    return not child.failures and timeouts.is_overdue(view.snapshot, child, moved, view.now)


def _jobs(children: Sequence[ChildJob]) -> str:
    more = f" and {len(children) - 1:,} more" if len(children) > 1 else ""
    return f"Job {children[0].name}{more}"
