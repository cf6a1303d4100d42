"""What needs a person, or a machine that is away: the most important first."""

from collections.abc import Iterator

from pslgs_operator.assessment import advice, patience
from pslgs_operator.assessment.client_troubles import client_troubles
from pslgs_operator.assessment.members import Members
from pslgs_operator.assessment.pod_trouble import trouble_of
from pslgs_operator.assessment.silence import silence
from pslgs_operator.assessment.view import View
from pslgs_operator.observed import ChildJob, JobState, Trouble
from pslgs_operator.status.conditions import Finding, Truth
from pslgs_operator.wording import plain


def degraded(view: View, members: Members) -> Finding:
    """Say whether something is wrong, and what."""
    troubles = tuple(diagnose(view, members))
    if not troubles:
        return Finding(Truth.FALSE, "AsExpected", "nothing needs attention")
    first, *others = troubles
    more = f"; and {len(others)} more" if others else ""
    return Finding(Truth.TRUE, first.reason, f"{first.message}{more}")


def diagnose(view: View, members: Members) -> Iterator[Trouble]:
    """Yield all troubles, the most important first, the same for the same look."""
    yield from _refusals(view)
    if view.placements.problem:
        yield view.placements.problem
    server = silence(view) or (None if view.report else trouble_of(view.server_pods, view.now))
    if server:
        yield server
    yield from client_troubles(view, members)
    if view.moving and view.report and view.report.message:
        yield Trouble("ServerWarning", f"the server says: {view.report.message}")


def _refusals(view: View) -> Iterator[Trouble]:
    for each in view.observed.refusals:
        yield Trouble("RefusedByCluster", f"the cluster refuses {each.child}: {plain(each.message, 1000)}")
    # Pods are made by the Job controller, which tells only in events of the Job why it makes none.
    podless = sorted(
        (each for each in view.observed.jobs if _is_podless(view, each)), key=lambda job: job.name
    )
    if podless:
        first = podless[0]
        why = first.message or (
            f"a quota, Pod Security, an admission webhook? See kubectl describe job {first.name}"
        )
        more = f" and {len(podless) - 1} more" if len(podless) > 1 else ""
        what_to_do = advice.on_refusal(why, view.job.namespace)
        said = f"Kubernetes makes no pod for Job {first.name}{more}: {why}"
        yield Trouble("RefusedByCluster", f"{said}; {what_to_do}" if what_to_do else said)


def _is_podless(view: View, child: ChildJob) -> bool:
    if child.deleting or child.state is not JobState.ACTIVE:
        return False
    pods = view.server_pods if child.client is None else view.client_pods.get(child.client)
    overdue = not child.failures and view.now - child.created >= patience.FIRST_POD
    return not pods and (overdue or child.message != "")
