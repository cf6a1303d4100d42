"""The dashboard of one job: whether it trains, how well, and who holds it up."""

from typing import Final

from monitoring import training_causes as why
from monitoring import training_rows as how
from monitoring.panel import Dashboard, Mark, Variable
from monitoring.selecting import JOB, OF_JOB

UID: Final = "pslgs-training-health"
LINK: Final = (
    f"/d/{UID}?var-namespace=${{__field.labels.namespace}}&var-job=${{__field.labels.{JOB}}}"
    "&${datasource:queryparam}&${__url_time_range}"
)
"""To the job of a series."""

TRAINING_HEALTH: Final = Dashboard(
    uid=UID,
    title="Training health",
    description="One split training: its batches, its learning, its speed, its clients and its troubles.",
    variables=(
        Variable("namespace", "Namespace", ("pslgs_epochs", "namespace")),
        Variable("job", "Job", ('pslgs_epochs{namespace="$namespace"}', JOB)),
        Variable("client", "Clients", (f"pslgs_client_samples_total{{{OF_JOB}}}", "client"), several=True),
    ),
    marks=(
        Mark(
            "Lost clients",
            f"sum by (reason) (increase(pslgs_clients_lost_total{{{OF_JOB}}}[$__interval])) > 0",
            "client lost: {{reason}}",
            "red",
        ),
        Mark(
            "Checkpoints",
            f"pslgs_checkpoint_timestamp_seconds{{{OF_JOB}}} * 1000",
            "checkpoint",
            "blue",
            timestamps=True,
        ),
        Mark(
            "Evaluations",
            f"pslgs_evaluation_timestamp_seconds{{{OF_JOB}}} * 1000",
            "evaluation",
            "purple",
            timestamps=True,
        ),
    ),
    rows=(how.STATE, how.BATCHES, how.LEARNING, why.SPEED, why.CLIENTS, why.TROUBLES, why.RESOURCES),
)
