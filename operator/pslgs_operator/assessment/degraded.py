"""The condition Degraded: what is wrong with a job."""

from collections.abc import Iterator

from pslgs_operator.assessment import hints, timeouts
from pslgs_operator.assessment.client_problems import client_problems
from pslgs_operator.assessment.membership import Membership
from pslgs_operator.assessment.pod_problems import pod_problem
from pslgs_operator.assessment.ready import silence
from pslgs_operator.assessment.view import View
from pslgs_operator.snapshot import ChildJob, ChildJobState, Problem
from pslgs_operator.status.conditions import ConditionStatus, ConditionUpdate
from pslgs_operator.text import plain


def degraded(view: View, members: Membership) -> ConditionUpdate:
    """Say whether something is wrong, and what."""
    troubles = tuple(find_problems(view, members))
    if not troubles:
        return ConditionUpdate(ConditionStatus.FALSE, "AsExpected", "nothing needs attention")
    first, *others = troubles
    more = f"; and {len(others)} more" if others else ""
    return ConditionUpdate(ConditionStatus.TRUE, first.reason, f"{first.message}{more}")


def find_problems(view: View, members: Membership) -> Iterator[Problem]:
    """Yield all troubles, the most important first, the same for the same look."""
    yield from _refusals(view)
    if view.placements.problem:
        yield view.placements.problem
    server = silence(view) or (None if view.report else pod_problem(view.server_pods, view.now))
    if server:
        yield server
    yield from client_problems(view, members)
    if view.moving and view.report and view.report.message:
        yield Problem("ServerWarning", f"the server says: {view.report.message}")


def _refusals(view: View) -> Iterator[Problem]:
    for each in view.snapshot.rejections:
        yield Problem("RefusedByCluster", f"the cluster refuses {each.child}: {plain(each.message, 1000)}")
    # Pods are made by the Job controller, which tells only in events of the Job why it makes none.
    podless = sorted(
        (each for each in view.snapshot.jobs if _is_podless(view, each)), key=lambda job: job.name
    )
    if podless:
        first = podless[0]
        why = first.message or (
            f"a quota, Pod Security, an admission webhook? See kubectl describe job {first.name}"
        )
        more = f" and {len(podless) - 1} more" if len(podless) > 1 else ""
        what_to_do = hints.on_refusal(why, view.job.namespace)
        said = f"Kubernetes makes no pod for Job {first.name}{more}: {why}"
        yield Problem("RefusedByCluster", f"{said}; {what_to_do}" if what_to_do else said)


def _is_podless(view: View, child: ChildJob) -> bool:
    if child.deleting or child.state is not ChildJobState.ACTIVE:
        return False
    pods = view.server_pods if child.client is None else view.client_pods.get(child.client)
    overdue = not child.failures and view.now - child.created >= timeouts.FIRST_POD
    return not pods and (overdue or child.message != "")
