"""The CEL rules of the data of a job."""

from collections.abc import Iterator
from typing import Final

from pslgs.spec import CLIENT_PLACEHOLDER, DataSource, DataSpec, EvaluationSource, NamedInput
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
)
from pslgs_operator.crd.cel import Reason, Rule, default_unless, given, literal

_PLACEHOLDER: Final = literal(CLIENT_PLACEHOLDER)


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
        f"!has(self.path) || !self.path.replace({_PLACEHOLDER}, '').matches('[{{}}]')",
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
        f"self.at != 'Server' || !has(self.path) || !self.path.contains({_PLACEHOLDER})",
        f"holds {CLIENT_PLACEHOLDER}, but the server reads the data; name one path or set at: Clients",
    ),
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
        f"!has(self.partition) || !has(self.train.path) || !self.train.path.contains({_PLACEHOLDER})",
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

NAMED_INPUT_RULES: Final = (
    Rule("range", "!has(self.range) || self.range[0] < self.range[1]", RANGE_ORDER),
    *(
        default_unless("self.type != 'Integer'", NamedInput, name, INTEGER_INPUTS)
        for name in FIELDS_OF_FLOAT_INPUTS
    ),
)
