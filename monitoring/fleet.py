"""The dashboard of all jobs and of the operator."""

from typing import Final

from monitoring.panel import Dashboard, Mark, Panel, Query, Row, Variable
from monitoring.selecting import JOB, OF_JOBS, OF_OPERATOR, growth, largest, quantile, rate
from monitoring.training_health import LINK

_BY_JOB: Final = f"namespace, {JOB}"
_NAME: Final = f"{{{{namespace}}}}/{{{{{JOB}}}}}"
_LISTED: Final = 'job_namespace=~"$namespace", job_name=~"$job"'
_LINK_FROM_LIST: Final = LINK.replace("__field.labels.namespace", "__data.fields.Namespace").replace(
    f"__field.labels.{JOB}", "__data.fields.Job"
)

_POD: Final = "{{namespace}}/{{pod}}"


def _of_operators(series: str) -> str:
    """Take those of pods that are operators; others in their namespaces have metrics of the same names."""
    operators = f"pslgs_operator_watch_age_seconds{{{OF_OPERATOR}}}"
    return f"max by (namespace, pod) ({series} and on (namespace, pod) {operators})"


JOBS: Final = Row(
    "How are the jobs?",
    (
        Panel(
            title="Jobs by phase",
            description="All SplitTrainingJobs of the operators. Failed and Degraded ones want somebody.",
            queries=(Query(f"sum by (phase) (pslgs_jobs{{{OF_OPERATOR}}})", "{{phase}}"),),
            kind="numbers",
            unit="none",
            width=24,
            height=4,
        ),
        Panel(
            title="Jobs",
            description="Every job and its phase; the name leads to its training.",
            queries=(
                Query(
                    f"max by (job_namespace, job_name, phase) (pslgs_job_phase{{{OF_OPERATOR}, {_LISTED}}})",
                    "",
                ),
            ),
            kind="table",
            unit="none",
            width=12,
            columns={"job_namespace": "Namespace", "job_name": "Job", "phase": "Phase"},
            link=_LINK_FROM_LIST,
        ),
        Panel(
            title="Phases over time",
            description="How many jobs were in each phase.",
            queries=(Query(f"sum by (phase) (pslgs_jobs{{{OF_OPERATOR}}})", "{{phase}}"),),
            unit="none",
            width=12,
            stacked=True,
        ),
    ),
)

TRAININGS: Final = Row(
    "How do they train?",
    (
        Panel(
            title="Throughput by job",
            description="Samples that committed steps use in a second.",
            queries=(Query(growth("pslgs_samples_total", OF_JOBS, _BY_JOB), _NAME),),
            link=LINK,
        ),
        Panel(
            title="Accuracy by job",
            description="Accuracy of the last evaluation.",
            queries=(Query(largest("pslgs_evaluation_accuracy", OF_JOBS, _BY_JOB), _NAME),),
            unit="percentunit",
            link=LINK,
        ),
        Panel(
            title="Deviation beyond the bound",
            description="Batch deviation as a part of its bound. Above 1, a batch is less representative "
            "than 99 of 100 uniform draws.",
            queries=(
                Query(
                    f"{largest('pslgs_batch_deviation', OF_JOBS, _BY_JOB)} / "
                    f"{largest('pslgs_batch_deviation_bound', OF_JOBS, _BY_JOB)}",
                    _NAME,
                ),
            ),
            limits={1: "red"},
            link=LINK,
        ),
        Panel(
            title="Lost clients by job",
            description="Clients that are not part of their training at the moment.",
            queries=(Query(f'max by ({_BY_JOB}) (pslgs_clients{{{OF_JOBS}, state="lost"}})', _NAME),),
            unit="none",
            link=LINK,
        ),
        Panel(
            title="Steps by job",
            description="Steps committed in a second. 0 means that the job waits, evaluates or hangs.",
            queries=(Query(growth("pslgs_steps_total", OF_JOBS, _BY_JOB), _NAME),),
            unit="ops",
            link=LINK,
        ),
        Panel(
            title="Checkpoint age by job",
            description="What would be computed again if the server were lost.",
            queries=(
                Query(f"time() - {largest('pslgs_checkpoint_timestamp_seconds', OF_JOBS, _BY_JOB)}", _NAME),
            ),
            unit="s",
            link=LINK,
        ),
    ),
)

OPERATOR: Final = Row(
    "Is the operator well?",
    (
        Panel(
            title="Looks at jobs",
            description="How often the operator compares a job with the cluster, by how it ended. Errors are "
            "tried again; ones that stay say that something refuses it.",
            queries=(Query(growth("pslgs_operator_reconciles_total", OF_OPERATOR, "result"), "{{result}}"),),
            unit="ops",
        ),
        Panel(
            title="Duration of a look",
            description="Half of the looks, and 95 of 100, take less.",
            queries=tuple(
                Query(quantile(share, "pslgs_operator_reconcile_seconds", OF_OPERATOR), f"{share:.0%}")
                for share in (0.5, 0.95)
            ),
            unit="s",
        ),
        Panel(
            title="Hearing",
            description="Time since a watch was last known to have reported every object. Up to five minutes "
            "are normal; much more means that the operator misses changes and will be started anew.",
            queries=(
                Query(largest("pslgs_operator_watch_age_seconds", OF_OPERATOR, "resource"), "{{resource}}"),
            ),
            unit="s",
            limits={900: "red"},
        ),
        Panel(
            title="Memory of the operator",
            description="Resident memory of each operator.",
            queries=(Query(_of_operators(f"process_resident_memory_bytes{{{OF_OPERATOR}}}"), _POD),),
            unit="bytes",
            width=12,
        ),
        Panel(
            title="Processors of the operator",
            description="Processors that each operator keeps busy.",
            queries=(Query(_of_operators(rate("process_cpu_seconds_total", OF_OPERATOR)), _POD),),
            width=12,
        ),
    ),
)

FLEET: Final = Dashboard(
    uid="pslgs-fleet",
    title="Fleet",
    description="All split trainings, and the operator that looks after them.",
    variables=(
        Variable("operator", "Operator in", ("pslgs_jobs", "namespace"), several=True),
        Variable("namespace", "Namespace", ("pslgs_job_phase", "job_namespace"), several=True),
        Variable("job", "Job", ('pslgs_job_phase{job_namespace=~"$namespace"}', "job_name"), several=True),
    ),
    rows=(JOBS, TRAININGS, OPERATOR),
    marks=(
        Mark(
            "Lost clients",
            f"sum by ({_BY_JOB}, reason) (increase(pslgs_clients_lost_total{{{OF_JOBS}}}[$__interval])) > 0",
            f"{_NAME} lost a client: {{{{reason}}}}",
            "red",
        ),
    ),
)
