"""Rules of data sources in CEL; `pslgs.spec.data` has them in Python."""

from collections.abc import Iterator
from typing import Final

from pslgs.spec import CLIENT_PLACEHOLDER, DataSource, EvaluationSource
from pslgs.spec.data import FIELDS_OF_SOME_FORMATS, FORMAT_FIELDS
from pslgs_operator.crd.rule import Reason, Rule, default_unless, given, literal

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
)
