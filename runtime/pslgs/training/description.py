"""What a file of weights says of its model: all that is needed to build the network and to use it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Final, Self

import torch
from pydantic import TypeAdapter, ValidationError

from pslgs.coordination.feature_moments import FeatureScale
from pslgs.data.input_scaling import InputScaling, scales_by_name
from pslgs.data.samples import SampleForm
from pslgs.data.transforms import (
    Named,
    NamedPipelines,
    Pipeline,
    SamplePipeline,
    build_pipeline,
    evaluation_transforms,
    named,
    without_random,
)
from pslgs.model_inputs import InputShape, NamedShapes
from pslgs.spec.data import DataFormat, DataSpec
from pslgs.spec.inputs import InputType, Layout
from pslgs.spec.job import JobSpec
from pslgs.spec.loss import Loss
from pslgs.spec.named_inputs import INPUTS, NamedInput
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.objective import Objective
from pslgs.training.setup import TrainingSetup

METADATA_KEY: Final = "pslgs"
"""Key of the description in the metadata of a safetensors file."""


class OutputKind(StrEnum):
    """Meaning of a model's outputs."""

    CLASSES = "Classes"
    """Logits of classes that exclude each other."""
    LABELS = "Labels"
    """Logits of labels of which a sample may have several; a single one is that of the second of two."""
    VALUES = "Values"
    """Values of a regression."""


STATE_KEY: Final = "description"
"""Key of the description in the state of a checkpoint."""


_TABLES: Final = (DataFormat.CSV, DataFormat.PARQUET)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a stored sample becomes an input of the network, as in an evaluation.

    Attributes:
        format: Format of the training data, which decides how images are decoded.
        transforms: Name and arguments of each transform of an evaluation.
        layout: Order of the dimensions of a stored array; None for the rule of the manifest.
        value_range: Values that become 0 and 1; None for the rule of the manifest.
        input_type: Type of the inputs.
        length: Length of samples that are lists of numbers; None to leave them as they are.
        mean: Mean that is subtracted of each standardised value; empty for none.
        deviation: Standard deviation by which they are divided then.
        input_columns: Names of the columns of a table that a sample combines; empty for none.
        input_column: Name of the column with the samples of a table otherwise.
        inputs: Name -> preprocessing of each input of a model with several, for which alone it is meant then.
    """

    format: str
    transforms: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    layout: Layout | None = None
    value_range: tuple[float, float] | None = None
    input_type: InputType = InputType.FLOAT
    length: int | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    input_columns: tuple[str, ...] = ()
    input_column: str = ""
    inputs: Mapping[str, "Preprocessing"] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of a table with samples; empty if the samples are in no table."""
        if self.inputs:
            of_inputs = (column for each in self.inputs.values() for column in each.input_columns)
            return tuple(dict.fromkeys(of_inputs))
        return self.input_columns or ((self.input_column,) if self.input_column else ())

    @classmethod
    def of(cls, data: DataSpec) -> Self:
        """Return the preprocessing of the evaluation samples of a job."""
        if data.inputs:
            each = {declared.name: cls._of_input(data.train.format, declared) for declared in data.inputs}
            return cls(data.train.format, inputs=each)
        listed, _ = evaluation_transforms(data)
        train = data.train
        in_table = train.format in _TABLES
        return cls(
            format=data.train.format,
            transforms=tuple((each.name, dict(each.arguments)) for each in listed),
            layout=data.layout,
            value_range=data.value_range,
            input_type=data.input_type,
            length=data.length,
            input_columns=(train.input_columns or ()) if in_table else (),
            input_column=train.input_column if in_table and not train.input_columns else "",
        )

    @classmethod
    def _of_input(cls, stored_as: str, declared: NamedInput) -> Self:
        listed = without_random(named(declared.transforms, INPUTS))
        return cls(
            format=stored_as,
            transforms=tuple((each.name, dict(each.arguments)) for each in listed),
            layout=declared.layout,
            value_range=declared.value_range,
            input_type=declared.type,
            length=declared.length,
            input_columns=declared.chosen_columns if stored_as in _TABLES else (),
        )

    def scaled_by(self, scale: FeatureScale | None) -> Self:
        """Return this preprocessing with the scale of a single input, None for none."""
        if scale is None:
            return self
        return replace(self, mean=tuple(scale.mean.tolist()), deviation=tuple(scale.deviation.tolist()))

    def scaled_by_name(self, scales: Mapping[str, FeatureScale]) -> Self:
        """Return this preprocessing with the scales of those of several inputs that are standardised."""
        return replace(
            self, inputs={name: each.scaled_by(scales.get(name)) for name, each in self.inputs.items()}
        )

    def scale(self) -> FeatureScale | None:
        """Return the scale of the inputs; None for none."""
        return FeatureScale.of(self.mean, self.deviation, len(self.mean)) if self.mean else None

    def form(self) -> SampleForm:
        """Return the form of stored samples."""
        if self.inputs:
            forms = {
                name: replace(each.form(), columns=each.input_columns) for name, each in self.inputs.items()
            }
            return SampleForm(named=forms)
        return SampleForm(
            self.layout, self.value_range, self.input_type, self.length, is_wide=bool(self.mean)
        )

    def scaling(self, shape: InputShape) -> InputScaling | None:
        """Return what standardises inputs of a shape; None for nothing."""
        if isinstance(shape, NamedShapes):
            scales = {
                name: scale for name, each in self.inputs.items() if (scale := each.scale()) is not None
            }
            return InputScaling.by_name(scales, shape)
        scale = self.scale()
        return None if scale is None else InputScaling.of(scale, shape)

    def pipeline(self) -> SamplePipeline:
        """Return the transforms, whose errors name their position.

        Raises:
            InputError: a transform is unknown to this version.
        """
        if self.inputs:
            return NamedPipelines((), {name: each._pipeline() for name, each in self.inputs.items()})
        return self._pipeline()

    def _pipeline(self) -> Pipeline:
        return build_pipeline(self.named_transforms(), "transforms", is_wide=bool(self.mean))

    def named_transforms(self) -> list[Named]:
        """Return the transforms with their position, for error messages."""
        return [Named(f"transforms[{i}]", name, given) for i, (name, given) in enumerate(self.transforms)]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The description of a trained model.

    Attributes:
        architecture: Name of the architecture, or ``package.module:function``.
        options: Keyword arguments of its constructor.
        cut_layer: Last layer of the client part; None if the constructor returns two parts.
        replaced_normalization: BatchNorm layers of the client part that group normalisation replaces.
        outputs: Meaning of the outputs.
        input_shape: Shape of one sample, without the batch dimension.
        output_shape: Shape of the output for one sample.
        preprocessing: How a stored sample becomes an input.
        freeze: Modules and parameters that were not trained.
        classes: Names of the classes in the order of the outputs; empty where they are unknown.
        versions: Version of each package that made the file.
    """

    architecture: str
    options: Mapping[str, Any]
    cut_layer: str | None
    replaced_normalization: tuple[str, ...]
    outputs: OutputKind
    input_shape: InputShape
    output_shape: tuple[int, ...]
    preprocessing: Preprocessing
    freeze: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs of a model with several; empty for one."""
        return self.input_shape.names if isinstance(self.input_shape, NamedShapes) else ()

    def scaled_by(self, scale: FeatureScale | None, data: DataSpec) -> Self:
        """Return this description with the scale of the job's inputs, None for none."""
        shape, preprocessing = self.input_shape, self.preprocessing
        if scale is None:
            return self
        if isinstance(shape, NamedShapes):
            scaled = preprocessing.scaled_by_name(scales_by_name(scale, data.inputs, shape))
        else:
            scaled = preprocessing.scaled_by(scale)
        return replace(self, preprocessing=scaled)

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata of a safetensors file."""
        return {METADATA_KEY: json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)}

    def class_name(self, number: int) -> str:
        """Return the name of a class, or its number where names are unknown."""
        return self.classes[number] if number < len(self.classes) else str(number)


def description_from(metadata: Mapping[str, str]) -> ModelDescription:
    """Return the description in the metadata of a file.

    Raises:
        ValueError: there is none, or it has another form than this version's.
    """
    if METADATA_KEY not in metadata:
        raise ValueError("it does not describe its model")
    try:
        return _in_order(TypeAdapter(ModelDescription).validate_json(metadata[METADATA_KEY]))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"its description is of another version ({where}: {first['msg']})") from error


def _in_order(stored: ModelDescription) -> ModelDescription:
    """Return a description with its inputs in their order; keys are stored in alphabetical order."""
    by_name = stored.preprocessing.inputs
    ordered = {name: by_name[name] for name in stored.input_names if name in by_name}
    return replace(stored, preprocessing=replace(stored.preprocessing, inputs=ordered))


def describe(
    spec: JobSpec,
    setup: TrainingSetup,
    network: SplitNetwork,
    classes: Sequence[str] | None,
    scale: FeatureScale | None = None,
) -> ModelDescription:
    """Describe the model of a job.

    Args:
        spec: The job.
        setup: Its training.
        network: Its network.
        classes: Names of the classes; None where they are unknown.
        scale: Scale of the inputs; None if they are not standardised, or it is not known yet.
    """
    replaced = dict.fromkeys(name.rpartition(".")[0] for name in sorted(network.replaced))
    described = ModelDescription(
        architecture=spec.model.architecture,
        options=dict(spec.model.options),
        cut_layer=spec.model.cut_layer,
        replaced_normalization=tuple(replaced),
        outputs=_output_kind(setup.objective),
        input_shape=setup.input_shape,
        output_shape=setup.objective.output_shape,
        preprocessing=Preprocessing.of(spec.data),
        freeze=spec.model.freeze,
        classes=tuple(classes or spec.data.class_names or ()),
        versions={"pslgs": version("pslgs"), "torch": str(torch.__version__)},
    )
    return described.scaled_by(scale, spec.data)


def _output_kind(objective: Objective) -> OutputKind:
    if objective.loss is Loss.BINARY_CROSS_ENTROPY:
        return OutputKind.LABELS
    return OutputKind.VALUES if objective.classes is None else OutputKind.CLASSES
