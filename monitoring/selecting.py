"""The words of queries: which series, of which job, over which time."""

from typing import Final

from pslgs_operator.manifests.podmonitor import JOB_TARGET_LABEL

JOB: Final = JOB_TARGET_LABEL

OF_JOB = f'namespace="$namespace", {JOB}="$job"'
"""The job that is chosen."""
OF_JOBS = f'namespace=~"$namespace", {JOB}=~"$job"'
"""All jobs that are chosen."""
OF_OPERATOR = 'namespace=~"$operator"'
"""The operators in the namespaces that are chosen."""
OF_CLIENTS = f'{OF_JOB}, client=~"$client"'
"""The clients that are chosen; with all of them, also series that name none."""


def rate(metric: str, which: str) -> str:
    """Growth of a counter in a second."""
    return f"rate({metric}{{{which}}}[$__rate_interval])"


def growth(metric: str, which: str, by: str = "") -> str:
    """Growth of a counter in a second, summed ``by`` labels."""
    return f"sum by ({by}) ({rate(metric, which)})" if by else f"sum({rate(metric, which)})"


def mean(metric: str, which: str, by: str) -> str:
    """Mean of what a histogram or a summary observed lately; nothing while it observes nothing."""
    return f"{growth(f'{metric}_sum', which, by)} / ({growth(f'{metric}_count', which, by)} > 0)"


def quantile(share: float, metric: str, which: str, by: str = "") -> str:
    """Quantile of what a histogram observed lately, summed ``by`` labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {growth(f'{metric}_bucket', which, labels)})"


def largest(metric: str, which: str, by: str = "") -> str:
    """A gauge's value; while a pod is replaced, there may be two."""
    return f"max by ({by}) ({metric}{{{which}}})" if by else f"max({metric}{{{which}}})"
