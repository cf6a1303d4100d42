"""The condition Ready: how far the job is, and whether its server answers."""

from pslgs.spec import ServerPhase
from pslgs_operator.assessment import timeouts
from pslgs_operator.assessment.membership import Membership
from pslgs_operator.assessment.pod_problems import failed
from pslgs_operator.assessment.view import ENDED, View
from pslgs_operator.endpoint import server_endpoint
from pslgs_operator.names import EXTERNAL_FRAMEWORK, server_name
from pslgs_operator.quota import is_queued
from pslgs_operator.snapshot import ChildPod, PodPhase, Problem, ServerReport
from pslgs_operator.status.conditions import ConditionStatus, ConditionUpdate
from pslgs_operator.status.types import FINISHING
from pslgs_operator.text import listing


def silence(view: View) -> Problem | None:
    """Return the problem of a server that should answer and doesn't; None if there is none."""
    pod = view.server_pod
    if pod is None or pod.phase is not PodPhase.RUNNING or view.report is not None:
        return None
    if pod.node in view.nodes and not view.is_ready(pod.node):
        return Problem(
            "ServerSilent",
            f"node {pod.node} is not ready, and the server's pod {pod.name} on it does not answer; if the "
            f"node will not come back, kubectl delete node {pod.node} lets the server start elsewhere",
        )
    if pod.deleting or not _should_answer(view, pod):
        return None
    return Problem(
        "ServerSilent", f"the server's pod {pod.name} on node {pod.node} runs, but does not answer /status"
    )


def _should_answer(view: View, pod: ChildPod) -> bool:
    """Return whether it answered before, or had the time to begin."""
    if view.snapshot.server_reply is not None:
        return True
    asked, bound = view.snapshot.server_asked_since, view.settings.silence_bound
    if asked is not None and view.now - asked < bound:
        return False  # this replica leads since a moment ago, and one request may fail
    return pod.started is not None and view.now - pod.started >= timeouts.FIRST_ANSWER


def ready(view: View, members: Membership) -> ConditionUpdate:
    """Return the condition Ready: whether the server trains; a pod that runs is not enough."""
    if view.job.spec.suspend:
        return _not_yet("Suspended", "spec.suspend is true")
    if left := view.snapshot.departing:
        return _not_yet(
            "ReplacingEarlierJob", f"Kubernetes is deleting {listing(left)} of an earlier job of this name"
        )
    if view.hold:
        return _waiting_for_quota(view, view.hold)
    if view.report is not None:
        return _by_report(view, view.report, members)
    if silent := silence(view):
        return _not_yet(silent.reason, silent.message)
    return _before_the_server(view) if view.server is None else _by_pods(view, view.server_pod)


def _waiting_for_quota(view: View, hold: Problem) -> ConditionUpdate:
    """Say why Kueue does not admit the job, or why it is not asked to yet."""
    problem = view.placements.problem if view.snapshot.workload is None else None
    found = problem or hold
    return _not_yet(found.reason, found.message)


def to_come(view: View) -> str:
    """Count, after a semicolon, what is suspended or still to be created of the clients; empty if nothing is.

    The operator needs minutes for the Jobs of thousands of clients, and the Job controller for their pods.
    """
    wanted = [each.client for each in view.placements.clients]
    jobs = [child for client in wanted if (child := view.snapshot.clients.get(client))]
    if suspended := sum(child.suspended for child in jobs):
        return f"; {suspended:,} of {len(wanted):,} client Jobs are suspended"
    if len(jobs) < len(wanted):
        return f"; {len(jobs):,} of {len(wanted):,} client Jobs are created"
    pods = sum(bool(view.client_pods.get(client)) for client in wanted)
    return f"; {pods:,} of {len(wanted):,} client pods are created" if pods < len(wanted) else ""


def _by_report(view: View, report: ServerReport, members: Membership) -> ConditionUpdate:
    if view.moving:
        notice = f"; the server says: {report.notice}" if report.notice else ""
        clients = f"{len(members.live)} of {members.expected} clients{_without_places(view)}"
        training = f"training with {clients}{notice}"
        return ConditionUpdate(ConditionStatus.TRUE, "Training", training)
    if report.phase == ServerPhase.WAITING:
        waits = report.message if report.message.startswith("for ") else f"for clients: {report.message}"
        return _not_yet("WaitingForClients", f"the server waits {waits.removesuffix(': ')}{to_come(view)}")
    if report.phase == ServerPhase.FINISHED:
        return _not_yet(FINISHING, "the training is over, and the server is about to end")
    if report.phase in {ServerPhase.INTERRUPTED, ServerPhase.FAILED}:
        return _not_yet("ServerRestarting", f"the server ends: {report.message}")
    return _not_yet(_starting(view), "the server reads its model and its data")


def _without_places(view: View) -> str:
    """Count, after a semicolon, the clients of nodes that came after the admission; empty if none did."""
    if not (number := view.placements.waiting):
        return ""
    many = number != 1
    return (
        f"; {number:,} more client{'s' * many} {'were' if many else 'was'} not admitted with the job and "
        f"wait{'s' * (not many)} for the next admission: set spec.suspend to true, and to false again"
    )


def _before_the_server(view: View) -> ConditionUpdate:
    if problem := view.placements.problem:
        return _not_yet(problem.reason, problem.message)
    if server_endpoint(view.job, view.snapshot) is None:
        service = server_name(view.job.name)
        return _not_yet("WaitingForAddress", f"Service {service} has no address that clients can dial yet")
    blocking = (*view.snapshot.earlier_pods, *(pod for pod in view.snapshot.pods if not pod.has_ended))
    if pods := [pod.name for pod in blocking if pod.job == server_name(view.job.name)]:
        return _not_yet(
            "Starting", f"the server's Job is created when pod {pods[0]} of an earlier one has ended"
        )
    return _not_yet("Starting", "the server's Job is being created")


def _by_pods(view: View, pod: ChildPod | None) -> ConditionUpdate:
    if queued := _queued(view, pod):
        return _not_yet("Queued", queued)
    if pod is None:
        return _not_yet("Starting", f"the server's pod is being made{to_come(view)}")
    if pod.phase in ENDED:
        done = pod.phase is PodPhase.SUCCEEDED
        over = "the training is over, and the end of the server's Job is awaited"
        return _not_yet(FINISHING, over) if done else _not_yet("ServerRestarting", failed(pod))
    if pod.deleting:
        return _not_yet("ServerRestarting", f"the server's pod {pod.name} is being deleted")
    if pod.phase is PodPhase.RUNNING:
        return _not_yet(
            _starting(view), f"the server's pod {pod.name} runs, and has not answered yet{to_come(view)}"
        )
    return _not_yet(_starting(view), f"the server's pod {pod.name} does not run yet{to_come(view)}")


def _queued(view: View, pod: ChildPod | None) -> str:
    """Return what keeps the server from being scheduled; empty if nothing does."""
    if pod is None and view.server is not None and view.is_queued and is_queued(view.job, view.settings):
        return (
            f"Job {view.server.name} is suspended although Kueue admitted the job: add "
            f"{EXTERNAL_FRAMEWORK} to integrations.externalFrameworks of Kueue's configuration, "
            "so that it does not queue the Jobs of an admitted job"
        )
    if pod is None and view.server is not None and view.is_queued:
        return f"Job {view.server.name} is suspended until a queue admits it, or somebody resumes it"
    if pod is not None and pod.unscheduled is not None and pod.unscheduled.reason == "SchedulingGated":
        return f"the server's pod {pod.name} waits for its scheduling gates to be removed"
    return ""


def _starting(view: View) -> str:
    return "ServerRestarting" if len(view.server_pods) > 1 else "Starting"


def _not_yet(reason: str, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionStatus.FALSE, reason, message)
