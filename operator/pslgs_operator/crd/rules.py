"""What fields get wrong together: `SpecModel.rules` once more, in CEL.

Each rule blames the same field in the same words as its twin in Python; a test holds both to it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pslgs.spec import (
    DataSource,
    DataSpec,
    EvaluationSource,
    FaultTolerance,
    JobSpec,
    ModelSpec,
    OptimizerSpec,
    Partition,
    ServerSpec,
    ServiceSpec,
    StorageSpec,
)
from pslgs.spec.base import SpecModel
from pslgs.spec.deployment import USED_GPUS
from pslgs.spec.job import MAX_NAME_LENGTH
from pslgs.spec.scalars import DNS_LABEL, ENTRYPOINT, INT32_MAX, PATTERN_WORDS, PERCENTAGE
from pslgs_operator.crd.rule import Reason, Rule, default_unless, literal
from pslgs_operator.crd.sources import DATA_RULES, EVALUATION_RULES, SOURCE_RULES

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
        ServerSpec: (
            Rule(
                "gpus",
                f"self.gpus <= {USED_GPUS}",
                "is «self.gpus», but a server uses one GPU; give 1, or 0 for the CPU",
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
        f"self.metadata.name.matches({literal(DNS_LABEL)})",
        f"is '«self.metadata.name»', {PATTERN_WORDS[DNS_LABEL]}",
    ),
)
