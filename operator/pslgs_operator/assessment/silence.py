"""A server that runs, as far as Kubernetes knows, and does not answer."""

from pslgs_operator.assessment import patience
from pslgs_operator.assessment.view import View
from pslgs_operator.observed import ChildPod, PodPhase, Trouble


def silence(view: View) -> Trouble | None:
    """Tell of a server that should answer and doesn't."""
    pod = view.server_pod
    if pod is None or pod.phase is not PodPhase.RUNNING or view.report is not None:
        return None
    if pod.node in view.nodes and not view.is_ready(pod.node):
        return Trouble(
            "ServerSilent",
            f"node {pod.node} is not ready, and the server's pod {pod.name} on it does not answer; if the "
            f"node will not come back, kubectl delete node {pod.node} lets the server start elsewhere",
        )
    if pod.deleting or not _should_answer(view, pod):
        return None
    return Trouble(
        "ServerSilent", f"the server's pod {pod.name} on node {pod.node} runs, but does not answer /status"
    )


def _should_answer(view: View, pod: ChildPod) -> bool:
    """Tell whether it answered before, or had the time to begin."""
    if view.observed.heartbeat is not None:
        return True
    return pod.started is not None and view.now - pod.started >= patience.FIRST_ANSWER
