"""The CEL rules of each part of a job's spec."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pslgs.spec import (
    CLIENT_PLACEHOLDER,
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
from pslgs.spec.data import (
    CLASSES_TWICE,
    FIELDS_OF_ARRAYS,
    FIELDS_OF_FLOATS,
    FIELDS_OF_SOME_FORMATS,
    FORMAT_FIELDS,
    FORMATS_OF_IMAGES,
    FORMATS_OF_INPUTS,
    FORMATS_WITH_COLUMNS,
    FORMATS_WITH_INPUTS,
)
from pslgs.spec.deployment import KUBERNETES_RESOURCES, QUOTA_PREFIX, USED_GPUS
from pslgs.spec.job import MAX_NAME_LENGTH
from pslgs.spec.labels import RESERVED_PREFIX
from pslgs.spec.loss import LOSSES_WITH_OPTION, NOT_SMOOTHED, WEIGHTED_TWICE, LabelKind, Loss
from pslgs.spec.metrics import metrics_of
from pslgs.spec.named_inputs import (
    COLUMNS_OF_CSV,
    COLUMNS_OF_EACH_INPUT,
    COLUMNS_WITHOUT_TABLE,
    EACH_INPUT,
    FIELDS_OF_FLOAT_INPUTS,
    FIELDS_OF_ONE_INPUT,
    INPUTS_TWICE,
    INTEGER_INPUTS,
    RANGE_ORDER,
    SHAPE_OF_EACH_INPUT,
)
from pslgs.spec.optimizer import (
    CLIPPED_TWICE,
    NO_EVALUATION,
    NO_MOMENTUM,
    OPTIMIZERS_WITH_OPTION,
    SCHEDULES_WITH_OPTION,
)
from pslgs.spec.scalars import DNS_1035_LABEL, ENTRYPOINT, INT32_MAX, PATTERN_WORDS, PERCENTAGE
from pslgs_operator.crd.cel import Reason, Rule, default_unless, given, literal

PLACEHOLDER: Final = literal(CLIENT_PLACEHOLDER)


def _format_rules() -> Iterator[Rule]:
    """Each format has the fields that it needs and no other's."""
    for name in FIELDS_OF_SOME_FORMATS:
        needing = [each.value for each, fields in FORMAT_FIELDS.items() if name in fields.required]
        allowing = [each.value for each, fields in FORMAT_FIELDS.items() if name in fields.allowed]
        if needing:
            yield Rule(
                DataSource.model_fields[name].alias or name,
                f"!(self.format in {literal(needing)}) || {given(DataSource, name)}",
                "is missing; the format «self.format» needs it",
                Reason.REQUIRED,
            )
        yield default_unless(
            f"self.format in {literal(needing + allowing)}",
            DataSource,
            name,
            "does not apply to the format «self.format»; remove it",
        )


def _either(one: str, several: str) -> Rule:
    """A field for one column and the field for several columns exclude each other."""
    fields = DataSource.model_fields
    return Rule(
        fields[one].alias or one,
        f"!({given(DataSource, one)}) || !({given(DataSource, several)})",
        f"is given beside {fields[several].alias}; remove either",
        Reason.FORBIDDEN,
    )


SOURCE_RULES: Final = (
    *_format_rules(),
    _either("input_column", "input_columns"),
    _either("label_column", "label_columns"),
    Rule(
        "path",
        f"!has(self.path) || !self.path.replace({PLACEHOLDER}, '').matches('[{{}}]')",
        f"is '«self.path»'; the only placeholder is {CLIENT_PLACEHOLDER}",
    ),
    Rule(
        "split",
        "self.format != 'Torchvision' || !has(self.split) || self.split != 'All'",
        "is All, must be Train or Test for a Torchvision dataset",
    ),
)

EVALUATION_RULES: Final = (
    *SOURCE_RULES,
    Rule(
        "path",
        f"self.at != 'Server' || !has(self.path) || !self.path.contains({PLACEHOLDER})",
        f"holds {CLIENT_PLACEHOLDER}, but the server reads the data; name one path or set at: Clients",
    ),
)


def _without_reserved_keys(path: str, labels: str) -> Rule:
    """Refuse keys that only the operator sets, in the map ``labels`` of CEL."""
    return Rule(
        path,
        f"!has({labels}) || !{labels}.exists(key, key.startsWith({literal(RESERVED_PREFIX)}))",
        f"has a key under {RESERVED_PREFIX}, which only the operator sets; remove it",
        Reason.FORBIDDEN,
    )


def _or_nothing(field: str) -> str:
    return f"(has({field}) ? {field} : '')"


def _chosen_split(source: str, model: type[DataSource]) -> str:
    """Return CEL for the split that is read, by default or as given; empty if the format has none."""
    by_default = "".join(
        f"{source}.format == {literal(each)} ? {literal(split)} : "
        for each, split in model.default_splits.items()
    )
    return f"(has({source}.split) ? {source}.split : {by_default}'')"


def _overlap() -> Rule:
    """The model is not measured on what it learnt."""
    train, evaluation = "self.train", "self.evaluation"
    one, other = _chosen_split(train, DataSource), _chosen_split(evaluation, EvaluationSource)
    same = " && ".join(
        f"{_or_nothing(f'{train}.{name}')} == {_or_nothing(f'{evaluation}.{name}')}"
        for name in ("format", "name", "path")
    )
    return Rule(
        "train.split",
        f"!has({evaluation}) || !({same}) || {one} == '' || !({one} in [{other}, 'All'] || {other} == 'All')",
        f"is «{one}», which holds samples of the evaluation data («{other}»); set split: Train there and "
        "split: Test in data.evaluation",
    )


_OF_ARRAYS: Final = f"!(self.train.format in {literal(FORMATS_OF_IMAGES)})"


def _input_rules() -> Iterator[Rule]:
    """Several inputs have names of their own, and say themselves what is said of a single one elsewhere."""
    several = given(DataSpec, "inputs")
    for name in FIELDS_OF_ONE_INPUT:
        yield default_unless(f"!({several})", DataSpec, name, EACH_INPUT)
    yield Rule(
        "inputs",
        f"!({several}) || self.inputs.all(one, self.inputs.exists_one(other, other.name == one.name))",
        INPUTS_TWICE,
    )
    for source in ("train", "evaluation"):
        yield Rule(
            "inputs",
            f"!({several}) || !has(self.{source}) || self.{source}.format in {literal(FORMATS_OF_INPUTS)}",
            f"does not apply to the format «self.{source}.format» of data.{source}, whose samples are one "
            f"input; use {FORMATS_WITH_INPUTS}",
            Reason.FORBIDDEN,
        )
        yield Rule(
            f"{source}.inputColumns",
            f"{several} || !has(self.{source}) || self.{source}.format != 'CSV' || "
            f"has(self.{source}.inputColumns)",
            COLUMNS_OF_CSV,
            Reason.REQUIRED,
        )
        for name, left in (("inputColumns", "!has({})"), ("inputColumn", "{} == 'img'")):
            yield Rule(
                f"{source}.{name}",
                f"!({several}) || !has(self.{source}) || {left.format(f'self.{source}.{name}')}",
                COLUMNS_OF_EACH_INPUT,
                Reason.FORBIDDEN,
            )
        yield Rule(
            "inputs",
            f"!({several}) || !has(self.{source}) || self.{source}.format in {literal(FORMATS_WITH_COLUMNS)} "
            "|| !self.inputs.exists(one, has(one.columns))",
            COLUMNS_WITHOUT_TABLE,
            Reason.FORBIDDEN,
        )
    yield Rule(
        "evaluation.transforms",
        f"!({several}) || !has(self.evaluation) || !has(self.evaluation.transforms)",
        EACH_INPUT,
        Reason.FORBIDDEN,
    )


DATA_RULES: Final = (
    _overlap(),
    *_input_rules(),
    *(
        default_unless(
            _OF_ARRAYS, DataSpec, name, "does not apply to the format «self.train.format»; remove it"
        )
        for name in FIELDS_OF_ARRAYS
    ),
    *(
        default_unless("self.inputType != 'Integer'", DataSpec, name, INTEGER_INPUTS)
        for name in FIELDS_OF_FLOATS
    ),
    Rule(
        "evaluation.transforms",
        "self.inputType != 'Integer' || !has(self.evaluation) || !has(self.evaluation.transforms)",
        INTEGER_INPUTS,
        Reason.FORBIDDEN,
    ),
    Rule(
        "partition",
        f"!has(self.partition) || !has(self.train.path) || !self.train.path.contains({PLACEHOLDER})",
        f"divides one common dataset, but data.train.path differs by {CLIENT_PLACEHOLDER}; remove either",
        Reason.FORBIDDEN,
    ),
    Rule(
        "window",
        "!has(self.window) || self.window[1] > 1.0",
        "must be a center and a width above 1, such as [40, 400]",
    ),
    Rule(
        "window",
        "!has(self.window) || !has(self.range)",
        "is given beside range; remove either",
        Reason.FORBIDDEN,
    ),
    Rule(
        "range",
        "!has(self.range) || self.range[0] < self.range[1]",
        RANGE_ORDER,
    ),
    *(
        Rule(
            f"{source}.classes",
            f"!has(self.classes) || !has(self.{source}) || !has(self.{source}.classes)",
            CLASSES_TWICE,
            Reason.FORBIDDEN,
        )
        for source in ("train", "evaluation")
    ),
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
        NamedInput: (
            Rule("range", "!has(self.range) || self.range[0] < self.range[1]", RANGE_ORDER),
            *(
                default_unless("self.type != 'Integer'", NamedInput, name, INTEGER_INPUTS)
                for name in FIELDS_OF_FLOAT_INPUTS
            ),
        ),
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
                f"self.gpus <= {USED_GPUS}",
                "is «self.gpus», but a server uses one GPU; give 1, or 0 for the CPU",
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
