"""The rows of one job's dashboard that say how it goes."""

from typing import Final

from monitoring.panel import Panel, Query, Row
from monitoring.selecting import OF_CLIENTS, OF_JOB, largest

_ABOVE_BOUND = (
    f"avg_over_time(({largest('pslgs_batch_deviation', OF_JOB)}"
    f" > bool {largest('pslgs_batch_deviation_bound', OF_JOB)})[10m:])"
)
_CHECKPOINT_AGE = f"time() - {largest('pslgs_checkpoint_timestamp_seconds', OF_JOB)}"

STATE: Final = Row(
    "Is it training?",
    (
        Panel(
            title="Doing",
            description="What the server is doing. Waiting means that clients are lacking.",
            queries=(Query(f"max by (phase) (pslgs_phase{{{OF_JOB}}} == 1)", "{{phase}}"),),
            kind="names",
            unit="none",
            width=4,
            height=4,
        ),
        Panel(
            title="Epoch",
            description="The epoch under way, and how many there will be.",
            queries=(
                Query(largest("pslgs_epoch", OF_JOB), "epoch"),
                Query(largest("pslgs_epochs", OF_JOB), "of"),
            ),
            kind="numbers",
            unit="none",
            width=4,
            height=4,
        ),
        Panel(
            title="Accuracy",
            description="Share of evaluation samples that the last evaluation classified right.",
            queries=(Query(largest("pslgs_evaluation_accuracy", OF_JOB), "accuracy"),),
            kind="numbers",
            unit="percentunit",
            width=4,
            height=4,
        ),
        Panel(
            title="Training loss",
            description="Mean loss of the last global batch.",
            queries=(Query(largest("pslgs_training_loss", OF_JOB), "loss"),),
            kind="numbers",
            width=4,
            height=4,
        ),
        Panel(
            title="Lost clients",
            description="Clients that were part of this training and are not now. It goes on without them.",
            queries=(Query(f'max(pslgs_clients{{{OF_JOB}, state="lost"}})', "lost"),),
            kind="numbers",
            unit="none",
            width=4,
            height=4,
            limits={1: "red"},
        ),
        Panel(
            title="Checkpoint age",
            description="What would be computed again if the server were lost now.",
            queries=(Query(_CHECKPOINT_AGE, "age"),),
            kind="numbers",
            unit="s",
            width=4,
            height=4,
            limits={3600: "orange", 7200: "red"},
        ),
    ),
)

BATCHES: Final = Row(
    "Are the batches representative?",
    (
        Panel(
            title="Batch deviation",
            description="L1 distance between the class proportions of a global batch and those of all data. "
            "Global sampling keeps it around what is expected, and 99 of 100 batches below the bound, "
            "however the classes are spread over the clients.",
            queries=(
                Query(largest("pslgs_batch_deviation", OF_JOB), "deviation"),
                Query(largest("pslgs_batch_deviation_expected", OF_JOB), "expected"),
                Query(largest("pslgs_batch_deviation_bound", OF_JOB, "confidence"), "bound ({{confidence}})"),
            ),
            width=12,
        ),
        Panel(
            title="Batches above the bound",
            description="Share of the batches of ten minutes that deviate more than the bound. More than one "
            "in a hundred means that the batches are no uniform draw: clients are away, or the strategy "
            "is local.",
            queries=(Query(_ABOVE_BOUND, "above the bound"),),
            unit="percentunit",
            width=6,
            limits={0.05: "red"},
        ),
        Panel(
            title="Global batch",
            description="Samples in the global batch, and clients that contribute to it.",
            queries=(
                Query(largest("pslgs_global_batch_size", OF_JOB), "samples"),
                Query(largest("pslgs_active_clients", OF_JOB), "active clients"),
            ),
            width=6,
        ),
    ),
)

LEARNING: Final = Row(
    "Does it learn?",
    (
        Panel(
            title="Loss",
            description="Mean loss of global batches and of evaluations. Evaluations that rise while "
            "training falls mean overfitting; a training loss that jumps means a learning rate too high.",
            queries=(
                Query(largest("pslgs_training_loss", OF_JOB), "training"),
                Query(largest("pslgs_evaluation_loss", OF_JOB), "evaluation"),
            ),
            width=12,
        ),
        Panel(
            title="Accuracy of evaluations",
            description="Over all evaluation data; and for each client, where they stay at the clients.",
            queries=(
                Query(largest("pslgs_evaluation_accuracy", OF_JOB), "all"),
                Query(largest("pslgs_client_evaluation_accuracy", OF_CLIENTS, "client"), "{{client}}"),
            ),
            unit="percentunit",
            width=12,
        ),
        Panel(
            title="Metrics of evaluations",
            description="Over all evaluation data: the metrics of the task beside loss and accuracy. Shares "
            "are 0 to 1; errors are in the unit of the values.",
            queries=(
                Query(
                    largest("pslgs_evaluation_metric", f'{OF_JOB}, metric!~"Loss|Accuracy"', "metric"),
                    "{{metric}}",
                ),
            ),
            unit="none",
            width=12,
        ),
        Panel(
            title="Chosen metric by client",
            description="The metric by which models are compared (spec.metric), for each client with "
            "evaluation data of its own. A client far from the others has other data.",
            queries=(
                Query(
                    largest("pslgs_client_evaluation_metric", OF_CLIENTS, "client, metric"),
                    "{{client}} {{metric}}",
                ),
            ),
            unit="none",
            width=12,
        ),
    ),
)
