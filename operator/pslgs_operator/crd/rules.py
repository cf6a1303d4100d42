"""The CEL rules of each part of a job's spec."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pslgs.spec import (
    CLIENT_PLACEHOLDER,
    DataSource,
    DataSpec,
    EvaluationSource,
    FaultTolerance,
    JobSpec,
    ModelSpec,
    ObjectMetadata,
    OptimizerSpec,
    Partition,
    ServerSpec,
    ServiceSpec,
    StorageSpec,
)
from pslgs.spec.base import SpecModel
from pslgs.spec.data import FIELDS_OF_SOME_FORMATS, FORMAT_FIELDS
from pslgs.spec.definition import DEFINING_FIELDS
from pslgs.spec.deployment import KUBERNETES_RESOURCES, QUOTA_PREFIX, USED_GPUS
from pslgs.spec.job import MAX_NAME_LENGTH
from pslgs.spec.labels import RESERVED_PREFIX
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


SOURCE_RULES: Final = (
    *_format_rules(),
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
    """Tell in CEL which split is read, by default or as given; empty where the format has none."""
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


DATA_RULES: Final = (
    _overlap(),
    Rule(
        "partition",
        f"!has(self.partition) || !has(self.train.path) || !self.train.path.contains({PLACEHOLDER})",
        f"divides one common dataset, but data.train.path differs by {CLIENT_PLACEHOLDER}; remove either",
        Reason.FORBIDDEN,
    ),
    Rule(
        "range",
        "!has(self.range) || self.range[0] < self.range[1]",
        "must be two numbers, the lower one first, such as [0, 4095]",
    ),
)


_QUORUM: Final = "self.minAvailableClients"
_SHOWN_QUORUM: Final = f"""type({_QUORUM}) == int ? string({_QUORUM}) : "'" + {_QUORUM} + "'\""""
_IS_SGD: Final = "self.name == 'SGD'"
_NOT_OF_A_TAKEN_CLAIM: Final = "applies to a new claim, but claimName names an existing one; remove either"

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
        OptimizerSpec: tuple(
            default_unless(
                condition, OptimizerSpec, name, "does not apply to the optimizer «self.name»; remove it"
            )
            for name, condition in (("momentum", _IS_SGD), ("betas", f"!({_IS_SGD})"))
        ),
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
                "self.loss != 'MeanSquaredError'",
                "is «self.data.partition.scheme», which needs classes, but the loss «self.loss» has none; "
                "use IID",
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


_WORDS: Final = "cannot change once training has started; make a new job"

_FIXED: Final = (*dict.fromkeys(path.partition(".")[0] for path in DEFINING_FIELDS), "clients.perNode")


def _fixed(path: str, same: str) -> Rule:
    started = "has(oldSelf.status) && has(oldSelf.status.trainingStartTime)"
    return Rule(path, f"!({started}) || ({same})", _WORDS, Reason.FORBIDDEN)


def _in_both(*fields: str) -> str:
    return " && ".join(f"has({each}.{field})" for field in fields for each in ("self.spec", "oldSelf.spec"))


def _same_order(source: str) -> str:
    """Compare class names in their order; a list without duplicates is a set to CEL, equal in any order."""
    classes = f"data.{source}.classes"
    now, before = (f"{each}.spec.{classes}.map(name, name)" for each in ("self", "oldSelf"))
    return f"!({_in_both(f'data.{source}', classes)}) || {now} == {before}"


IMMUTABILITY_RULES: Final = (
    *(_fixed(f"spec.{path}", f"self.spec.{path} == oldSelf.spec.{path}") for path in _FIXED),
    *(_fixed("spec.data", _same_order(source)) for source in ("train", "evaluation")),
    _fixed("spec.server.service.type", "self.spec.server.service.type == oldSelf.spec.server.service.type"),
    _fixed(
        "spec.server.service.address",
        "has(self.spec.server.service.address) == has(oldSelf.spec.server.service.address) && "
        f"(!({_in_both('server.service.address')}) || "
        "self.spec.server.service.address == oldSelf.spec.server.service.address)",
    ),
    _fixed(
        "spec.checkpoint.storage",
        "has(self.spec.checkpoint.storage) == has(oldSelf.spec.checkpoint.storage) && "
        f"(!({_in_both('checkpoint.storage')}) || "
        "self.spec.checkpoint.storage == oldSelf.spec.checkpoint.storage)",
    ),
)
