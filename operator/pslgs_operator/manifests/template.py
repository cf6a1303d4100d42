"""The user's template over the generated one, without what it may not take away."""

from typing import Any

from pslgs.spec import PodTemplate
from pslgs_operator.overlay import laid_over


def with_user_template(generated: dict[str, Any], user: PodTemplate) -> dict[str, Any]:
    """Lay the user's template over; our labels, by which pods are found, and the restart policy stay."""
    merged = laid_over(generated, {"metadata": user.metadata, "spec": user.spec})
    merged["metadata"]["labels"] = merged["metadata"]["labels"] | generated["metadata"]["labels"]
    merged["metadata"]["annotations"] = (
        merged["metadata"]["annotations"] | generated["metadata"]["annotations"]
    )
    merged["spec"]["restartPolicy"] = generated["spec"]["restartPolicy"]
    return merged


def pinned(template: dict[str, Any], node: str) -> dict[str, Any]:
    """Let the pod run on this node only, by the scheduler, so that resources and taints are heeded."""
    here = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}
    spec = laid_over(template["spec"], {"affinity": {"nodeAffinity": required}, "nodeName": None})
    return template | {"spec": spec}
