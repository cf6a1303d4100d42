"""The CEL rules of each part of a job's spec."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pslgs.spec import (
    DataSource,
    DataSpec,
    EvaluationSource,
    FaultTolerance,
    JobSpec,
    LossOptions,
    ModelSpec,
    NamedInput,
    ObjectMetadata,
    OptimizerSpec,
    Partition,
    ScheduleSpec,
    ServerSpec,
    ServiceSpec,
    StorageSpec,
)
from pslgs.spec.base import SpecModel
from pslgs.spec.deployment import KUBERNETES_RESOURCES, MAX_GPUS, QUOTA_PREFIX
from pslgs.spec.job import MAX_NAME_LENGTH
from pslgs.spec.labels import RESERVED_PREFIX
from pslgs.spec.loss import LOSSES_WITH_OPTION, NOT_SMOOTHED, WEIGHTED_TWICE, LabelKind, Loss
from pslgs.spec.metrics import metrics_of
from pslgs.spec.named_inputs import SHAPE_OF_EACH_INPUT
from pslgs.spec.optimizer import (
    CLIPPED_TWICE,
    NO_EVALUATION,
    NO_MOMENTUM,
    OPTIMIZERS_WITH_OPTION,
    SCHEDULES_WITH_OPTION,
)
from pslgs.spec.scalars import DNS_1035_LABEL, ENTRYPOINT, INT32_MAX, PATTERN_WORDS, PERCENTAGE
from pslgs_operator.crd.cel import Reason, Rule, default_unless, literal
from pslgs_operator.crd.data_rules import DATA_RULES, EVALUATION_RULES, NAMED_INPUT_RULES, SOURCE_RULES


def _without_reserved_keys(path: str, labels: str) -> Rule:
    """Refuse keys that only the operator sets, in the map ``labels`` of CEL."""
    return Rule(
        path,
        f"!has({labels}) || !{labels}.exists(key, key.startsWith({literal(RESERVED_PREFIX)}))",
        f"has a key under {RESERVED_PREFIX}, which only the operator sets; remove it",
        Reason.FORBIDDEN,
    )


def _options_of(model: type[SpecModel], users: Mapping[str, Sequence[str]], kind: str) -> Iterator[Rule]:
    """Each kind of something, by its name, has its own options and no other's."""
    for option, names in users.items():
        yield default_unless(
            f"self.name in {literal(list(names))}",
            model,
            option,
            f"does not apply to the {kind} «self.name»; remove it",
        )


def _loss_rules() -> Iterator[Rule]:
    """Each loss has its own options and no other's."""
    for name, losses in LOSSES_WITH_OPTION.items():
        yield default_unless(
            f"self.loss in {literal(list(losses))}",
            LossOptions,
            name,
            "does not apply to the loss «self.loss»; remove it",
            within="lossOptions",
        )
    yield Rule(
        "lossOptions.entrypoint",
        "self.loss != 'Custom' || has(self.lossOptions.entrypoint)",
        "is missing; the loss Custom needs it",
        Reason.REQUIRED,
    )


_HAS_CLASSES: Final = (
    "(self.loss == 'Custom' ? self.lossOptions.labels == 'Classes' : "
    "self.loss in ['CrossEntropy', 'BinaryCrossEntropy'])"
)

_QUORUM: Final = "self.minAvailableClients"
_SHOWN_QUORUM: Final = f"""type({_QUORUM}) == int ? string({_QUORUM}) : "'" + {_QUORUM} + "'\""""
_NOT_OF_A_TAKEN_CLAIM: Final = "applies to a new claim, but claimName names an existing one; remove either"


def _metric_rules() -> Iterator[Rule]:
    """A loss has the metrics of its labels; early stopping needs evaluations."""
    custom = "self.loss == 'Custom' && self.lossOptions.labels == "
    for loss, labels, condition in (
        (Loss.CROSS_ENTROPY, LabelKind.CLASSES, f"self.loss == 'CrossEntropy' || {custom}'Classes'"),
        (Loss.BINARY_CROSS_ENTROPY, LabelKind.CLASSES, "self.loss == 'BinaryCrossEntropy'"),
        (Loss.HUBER, LabelKind.VALUES, f"self.loss in ['MeanSquaredError', 'Huber'] || {custom}'Values'"),
    ):
        known = [each.value for each in metrics_of(loss, labels)]
        yield Rule(
            "metric",
            f"!has(self.metric) || !({condition}) || self.metric in {literal(known)}",
            f"is «self.metric», which the loss «self.loss» does not have; use one of {', '.join(known)}",
        )
    yield Rule(
        "earlyStopping",
        "!has(self.earlyStopping) || has(self.data.evaluation)",
        "needs evaluations, but there are no evaluation data; set data.evaluation",
        Reason.REQUIRED,
    )


RULES: Final[Mapping[type[SpecModel], tuple[Rule, ...]]] = MappingProxyType(
    {
        ModelSpec: (
            Rule(
                "architecture",
                f"!self.architecture.contains(':') || self.architecture.matches({literal(ENTRYPOINT)})",
                f"is '«self.architecture»', {PATTERN_WORDS[ENTRYPOINT]}",
            ),
            Rule(
                "cutLayer",
                "has(self.cutLayer) || self.architecture.contains(':')",
                "is missing; name the module after which the network is cut",
                Reason.REQUIRED,
            ),
        ),
        DataSource: SOURCE_RULES,
        EvaluationSource: EVALUATION_RULES,
        Partition: tuple(
            default_unless(
                "self.scheme != 'IID'", Partition, name, "does not apply to the scheme IID; remove it"
            )
            for name in ("classes_per_client", "concentration")
        ),
        DataSpec: DATA_RULES,
        NamedInput: NAMED_INPUT_RULES,
        OptimizerSpec: (
            *_options_of(OptimizerSpec, OPTIMIZERS_WITH_OPTION, "optimizer"),
            Rule(
                "nesterov",
                "self.name != 'SGD' || !self.nesterov || self.momentum > 0.0",
                NO_MOMENTUM,
            ),
            Rule(
                "clipValue",
                "!has(self.clipNorm) || !has(self.clipValue)",
                CLIPPED_TWICE,
                Reason.FORBIDDEN,
            ),
        ),
        ScheduleSpec: (*_options_of(ScheduleSpec, SCHEDULES_WITH_OPTION, "schedule"),),
        StorageSpec: (
            Rule(
                "size",
                "has(self.size) || has(self.claimName)",
                "is missing; give the size of the new claim, or the claimName of an existing one",
                Reason.REQUIRED,
            ),
            *(
                Rule(
                    name,
                    f"!has(self.claimName) || !has(self.{name})",
                    _NOT_OF_A_TAKEN_CLAIM,
                    Reason.FORBIDDEN,
                )
                for name in ("size", "storageClassName")
            ),
        ),
        FaultTolerance: (
            Rule(
                "minAvailableClients",
                f"type({_QUORUM}) == int ? 1 <= {_QUORUM} && {_QUORUM} <= {INT32_MAX} : "
                f"{_QUORUM}.matches({literal(PERCENTAGE)})",
                f"is «{_SHOWN_QUORUM}», must be a number of clients, at least 1, or a percentage from "
                f"'1%' to '100%'",
            ),
        ),
        ServiceSpec: (_without_reserved_keys("annotations", "self.annotations"),),
        ObjectMetadata: tuple(
            _without_reserved_keys(name, f"self.{name}") for name in ("labels", "annotations")
        ),
        ServerSpec: (
            Rule(
                "gpus",
                f"self.gpus <= {MAX_GPUS}",
                f"is «self.gpus», but a server uses GPUs of one node; give at most {MAX_GPUS}",
            ),
            Rule(
                "gpuResource",
                f"!self.gpuResource.contains({literal(KUBERNETES_RESOURCES)}) && "
                f"!self.gpuResource.startsWith({literal(QUOTA_PREFIX)})",
                "is '«self.gpuResource»', which is no extended resource; give the name that the nodes' "
                "device plugin registers, such as nvidia.com/gpu",
            ),
        ),
        JobSpec: (
            Rule(
                "faultTolerance.minAvailableClients",
                "!has(self.data.partition) || type(self.faultTolerance.minAvailableClients) != int || "
                "self.faultTolerance.minAvailableClients <= self.data.partition.clients",
                "is «self.faultTolerance.minAvailableClients», must be at most data.partition.clients "
                "(«self.data.partition.clients»)",
            ),
            Rule(
                "data.partition.scheme",
                "!has(self.data.partition) || self.data.partition.scheme != 'ExtendedDirichlet' || "
                f"{_HAS_CLASSES}",
                "is «self.data.partition.scheme», which needs classes, but the loss «self.loss» has none; "
                "use IID",
            ),
            *_loss_rules(),
            Rule(
                "model.inputShape",
                "!has(self.model.inputShape) || !has(self.data.inputs) || size(self.data.inputs) == 0",
                SHAPE_OF_EACH_INPUT,
                Reason.FORBIDDEN,
            ),
            Rule(
                "optimizer.schedule.name",
                "self.optimizer.schedule.name != 'ReduceOnPlateau' || has(self.data.evaluation)",
                NO_EVALUATION,
            ),
            Rule(
                "optimizer.schedule.warmupEpochs",
                "!has(self.optimizer.schedule.warmupEpochs) || "
                "self.optimizer.schedule.warmupEpochs < double(self.epochs)",
                "is «self.optimizer.schedule.warmupEpochs», must be below epochs («self.epochs»)",
            ),
            *_metric_rules(),
        ),
        LossOptions: (
            *(
                Rule(
                    path,
                    f"self.classWeighting == 'None' || {default}",
                    WEIGHTED_TWICE,
                    Reason.FORBIDDEN,
                )
                for path, default in (
                    ("classWeights", "!has(self.classWeights)"),
                    ("positiveWeight", "self.positiveWeight == 1.0"),
                )
            ),
            Rule(
                "labelSmoothing",
                "self.labelSmoothing == 0.0 || self.focalGamma == 0.0",
                NOT_SMOOTHED,
                Reason.FORBIDDEN,
            ),
        ),
    }
)
"""The twins of the rules in Python, by the part of the manifest that they judge."""

CLUSTER_RULES: Final[Mapping[type[SpecModel], tuple[Rule, ...]]] = MappingProxyType(
    {
        ServiceSpec: (
            Rule(
                "address",
                "self.type != 'NodePort' || has(self.address)",
                "is missing; with a NodePort, give the name or IP of a node that clients can dial",
                Reason.REQUIRED,
            ),
        ),
        JobSpec: (
            Rule(
                "clients.nodeSelector",
                "has(self.clients.nodeSelector) && size(self.clients.nodeSelector) > 0",
                "is missing; name the labels of the nodes that hold data",
                Reason.REQUIRED,
            ),
        ),
    }
)
"""What matters in a cluster only, so that runs on one machine pass it over."""

NAME_RULES: Final = (
    Rule(
        "metadata.name",
        f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
        f"is '«self.metadata.name»', must have at most {MAX_NAME_LENGTH} characters",
    ),
    Rule(
        "metadata.name",
        f"self.metadata.name.matches({literal(DNS_1035_LABEL)})",
        f"is '«self.metadata.name»', {PATTERN_WORDS[DNS_1035_LABEL]}",
    ),
)
