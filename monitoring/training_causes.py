"""The rows of one job's dashboard that say why it goes as it goes."""

from typing import Final

from monitoring.panel import Panel, Query, Row
from monitoring.selecting import OF_CLIENTS, OF_JOB, growth, largest, mean, quantile

SPEED: Final = Row(
    "Where does the time go?",
    (
        Panel(
            title="Throughput",
            description="Samples that committed steps use in a second.",
            queries=(Query(growth("pslgs_samples_total", OF_JOB), "samples/s"),),
        ),
        Panel(
            title="Parts of a step",
            description="Mean time of each phase of a step: waiting for smashed data, the server part, "
            "waiting for client gradients, the update. Together they are the step.",
            queries=(Query(mean("pslgs_step_seconds", OF_JOB, "phase"), "{{phase}}"),),
            unit="s",
            stacked=True,
        ),
        Panel(
            title="Slow steps",
            description="95 of 100 steps spend less in the phase. Far above the mean, some steps wait.",
            queries=(Query(quantile(0.95, "pslgs_step_seconds", OF_JOB, "phase"), "{{phase}}"),),
            unit="s",
        ),
    ),
)

_RESPONSE = mean("pslgs_client_response_seconds", OF_CLIENTS, "client, phase")

CLIENTS: Final = Row(
    "Who holds it up?",
    (
        Panel(
            title="Clients",
            description="Clients by state, and how many a step needs. Below that, the job waits.",
            queries=(
                Query(largest("pslgs_clients", OF_JOB, "state"), "{{state}}"),
                Query(largest("pslgs_quorum_clients", OF_JOB), "needed"),
                Query(largest("pslgs_active_clients", OF_JOB), "active in a step"),
            ),
        ),
        Panel(
            title="Slowest clients",
            description="Mean time from an order to the complete answer: computing and network. A step is as "
            "slow as the slowest.",
            queries=(Query(f"topk(10, {_RESPONSE})", "{{client}} {{phase}}"),),
            unit="s",
        ),
        Panel(
            title="Work at the clients",
            description="Mean time of loading, forward and backward pass of a local batch, measured by the "
            "clients. What the response takes beyond it is network.",
            queries=tuple(
                Query(mean(f"pslgs_client_{work}_seconds", OF_CLIENTS, "pod"), f"{{{{pod}}}} {work}")
                for work in ("load", "forward", "backward")
            ),
            unit="s",
        ),
        Panel(
            title="Samples left in the epoch",
            description="Samples that a client has not yet contributed in this epoch. With global sampling "
            "all run out together.",
            queries=(Query(largest("pslgs_client_remaining_samples", OF_CLIENTS, "client"), "{{client}}"),),
            width=12,
        ),
        Panel(
            title="Contributions",
            description="Samples that a client contributes in a second.",
            queries=(Query(growth("pslgs_client_samples_total", OF_CLIENTS, "client"), "{{client}}"),),
            width=12,
            stacked=True,
        ),
    ),
)

TROUBLES: Final = Row(
    "What went wrong?",
    (
        Panel(
            title="Clients lost",
            description="Clients lost in a minute, by reason: their stream ended, they owed an answer for "
            "too long, or they connected again.",
            queries=(Query(f"60 * {growth('pslgs_clients_lost_total', OF_JOB, 'reason')}", "{{reason}}"),),
        ),
        Panel(
            title="Steps given up",
            description="Attempts given up in a minute, by reason. Nothing of them was applied.",
            queries=(Query(f"60 * {growth('pslgs_steps_aborted_total', OF_JOB, 'reason')}", "{{reason}}"),),
        ),
        Panel(
            title="Refused and ignored",
            description="Clients that were not let in, and answers that nobody waited for, in a minute. "
            "Impostor or Unidentified: somebody has a wrong certificate.",
            queries=(
                Query(
                    f"60 * {growth('pslgs_clients_refused_total', OF_JOB, 'reason')}", "refused: {{reason}}"
                ),
                Query(
                    f"60 * {growth('pslgs_answers_ignored_total', OF_JOB, 'reason')}", "ignored: {{reason}}"
                ),
            ),
        ),
        Panel(
            title="Samples skipped",
            description="Samples of lost clients and skipped steps that epochs ended without in that time.",
            queries=(Query(f"sum(increase(pslgs_samples_skipped_total{{{OF_JOB}}}[$__range]))", "skipped"),),
            kind="numbers",
            width=6,
            height=5,
            limits={1: "orange"},
        ),
        Panel(
            title="Checkpoints that failed",
            description="Checkpoints that could not be written in the chosen time, e.g. to a full volume.",
            queries=(
                Query(f"sum(increase(pslgs_checkpoint_failures_total{{{OF_JOB}}}[$__range]))", "failed"),
            ),
            kind="numbers",
            width=6,
            height=5,
            limits={1: "red"},
        ),
        Panel(
            title="Age of the heartbeat",
            description="How long ago the server's event loop last ran.",
            queries=(Query(f"time() - {largest('pslgs_heartbeat_timestamp_seconds', OF_JOB)}", "age"),),
            kind="numbers",
            unit="s",
            width=6,
            height=5,
            limits={60: "red"},
        ),
        Panel(
            title="Trains",
            description="The architecture, the layer that it is cut after, and how batches are drawn.",
            queries=(
                Query(
                    f"max by (architecture, cut_layer, strategy) (pslgs_job_info{{{OF_JOB}}})",
                    "{{architecture}}, cut after {{cut_layer}}, {{strategy}}",
                ),
            ),
            kind="names",
            unit="none",
            width=6,
            height=5,
        ),
    ),
)

RESOURCES: Final = Row(
    "What does it cost?",
    (
        Panel(
            title="Traffic of the server",
            description="Bytes in a second, by direction and kind. Smashed data and cut gradients grow with "
            "the batch, parameters and client gradients with the active clients.",
            queries=(
                Query(growth("pslgs_wire_bytes_total", OF_JOB, "direction, kind"), "{{direction}} {{kind}}"),
            ),
            unit="Bps",
        ),
        Panel(
            title="Memory",
            description="Resident memory of each pod of the job.",
            queries=(Query(largest("process_resident_memory_bytes", OF_CLIENTS, "pod"), "{{pod}}"),),
            unit="bytes",
        ),
        Panel(
            title="Processors",
            description="Processors that each pod of the job keeps busy.",
            queries=(Query(growth("process_cpu_seconds_total", OF_CLIENTS, "pod"), "{{pod}}"),),
        ),
    ),
)
