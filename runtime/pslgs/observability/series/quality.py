"""Prometheus series of the quality of global batches and of the model."""

from prometheus_client import CollectorRegistry, Gauge

from pslgs.observability.records import EvaluationRecord, StepRecord
from pslgs.observability.registry import LatestGauge

CONFIDENCE = "0.99"


class QualitySeries:
    """Deviation, size and loss of the last global batch, and results of the last evaluation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def latest(name: str, what: str) -> LatestGauge:
            return LatestGauge(name, what, registry=registry)

        self._deviation = latest(
            "pslgs_batch_deviation",
            "L1 distance (0 to 2) between the class proportions of a global batch and of the pooled data",
        )
        self._expected = latest(
            "pslgs_batch_deviation_expected",
            "Expected value of the batch deviation under uniform sampling (0 to 2)",
        )
        self._bound = Gauge(
            "pslgs_batch_deviation_bound",
            "Upper bound of the batch deviation with this confidence (0 to 2)",
            ["confidence"],
            registry=registry,
        )
        self._batch_size = latest("pslgs_global_batch_size", "Number of samples in the global batch")
        self._active = latest("pslgs_active_clients", "Number of clients that contribute to the global batch")
        self._training_loss = latest("pslgs_training_loss", "Mean loss of the global batch")
        self._evaluation_loss = latest("pslgs_evaluation_loss", "Mean loss of the last evaluation")
        self._accuracy = latest("pslgs_evaluation_accuracy", "Accuracy of the last evaluation (0 to 1)")
        self._evaluated = latest(
            "pslgs_evaluation_timestamp_seconds",
            "Time at which the last evaluation ended, as Unix time in seconds",
        )

    def step(self, record: StepRecord) -> None:
        """Set the values of a step's global batch."""
        self._deviation.show(record.deviation)
        self._expected.show(record.deviation_expected)
        if record.deviation_bound is not None:
            self._bound.labels(CONFIDENCE).set(record.deviation_bound)
        self._batch_size.show(record.batch_size)
        self._active.show(len(record.allocation))
        self._training_loss.show(record.loss)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Set the loss and accuracy of an evaluation over all samples."""
        self._evaluation_loss.show(record.loss)
        self._accuracy.show(record.accuracy)
        self._evaluated.show(record.time)
