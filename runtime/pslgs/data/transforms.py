"""Transform pipelines: torchvision.transforms.v2 by name, and conversion to float32."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from pslgs.model_inputs import Inputs
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.inputs import Standardization, Transform
from pslgs.spec.named_inputs import INPUTS, NamedInput

RANDOM = {
    "AugMix",
    "AutoAugment",
    "ColorJitter",
    "ElasticTransform",
    "GaussianBlur",
    "GaussianNoise",
    "JPEG",
} | {
    "RandAugment",
    "ScaleJitter",
    "TrivialAugmentWide",
}

FAULTS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True)
class Named:
    """A transform as listed in the manifest.

    Attributes:
        field: Path in the manifest (``spec.data.transforms[0]``), for error messages.
        name: Name of a class of torchvision.transforms.v2.
        arguments: Keyword arguments of the class.
    """

    field: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def is_random(self) -> bool:
        """Whether the transform draws random numbers."""
        return self.name.startswith("Random") or self.name in RANDOM


@dataclass(frozen=True, slots=True)
class BuiltTransform:
    """A constructed transform, with its name and field for error messages."""

    name: str
    field: str
    function: Callable[[Tensor], Tensor]
    is_random: bool

    def __call__(self, sample: Tensor) -> Tensor:
        """Apply the transform to a sample, or to a batch if it is elementwise.

        Raises:
            InputError: the transform cannot be applied to samples of this shape or type.
        """
        try:
            return self.function(sample)
        except FAULTS as error:
            shape = tuple(sample.shape)
            raise InputError.at(
                self.field,
                f"{self.name} cannot be applied to samples of shape {shape} and type {sample.dtype}: {error}",
            ) from error


def named(transforms: Iterable[Transform], field: str) -> list[Named]:
    """Add its path to each transform of the list at ``field``."""
    return [Named(f"{field}[{i}]", each.name, each.arguments) for i, each in enumerate(transforms)]


def evaluation_counterpart(listed: Named) -> tuple[Named, ...]:
    """Return the transforms that replace one of the training data in an evaluation.

    A transform without randomness stays as it is, a random crop becomes a central crop, and other random
    transforms are left out.
    """
    if not listed.is_random:
        return (listed,)
    if listed.name not in {"RandomCrop", "RandomResizedCrop"}:
        return ()
    crop = Named(listed.field, "CenterCrop", _only(listed.arguments, "size"))
    if listed.name == "RandomCrop":
        return (crop,)
    return (
        Named(listed.field, "Resize", _only(listed.arguments, "size", "interpolation", "antialias")),
        crop,
    )


def _only(arguments: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in names}


def to_float(sample: Tensor) -> Tensor:
    """Convert uint8 to float32 in the range 0 … 1, and floats to float32 unscaled; int64 stays.

    Samples are int64 only where the manifest declares integer inputs.
    """
    if sample.dtype == torch.int64:
        return sample
    return sample.to(torch.float32).div_(255) if sample.dtype == torch.uint8 else sample.to(torch.float32)


def to_wide_float(sample: Tensor) -> Tensor:
    """Convert as `to_float` does, but leave float64, which is to be standardised, as it is."""
    return sample if sample.dtype == torch.float64 else to_float(sample)


TRAINING_FIELD = "spec.data.transforms"
EVALUATION_FIELD = "spec.data.evaluation.transforms"
IMAGE_DIMENSIONS = 3

NEED_FLOAT = frozenset({"GaussianNoise", "LinearTransformation", "Normalize"})
ELEMENTWISE = frozenset({"ConvertImageDtype", "Normalize", "ToDtype", "ToFloat", "ToTensor"})


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The transforms of a dataset, in the order of their application.

    Attributes:
        each: Transforms that are applied to single samples.
        together: Elementwise transforms that follow them.  They give the same result on a whole batch, at
            a much lower cost.
        field: Path of the transforms in the manifest, for error messages.
        inputs: The inputs of the model, if it has several: none.
    """

    each: tuple[BuiltTransform, ...]
    together: tuple[BuiltTransform, ...]
    field: str

    inputs: ClassVar[tuple[NamedInput, ...]] = ()

    @property
    def is_random(self) -> bool:
        """Whether a transform draws random numbers, which it does with random functions of torch only."""
        return any(transform.is_random for transform in self.each)

    @property
    def is_elementwise(self) -> bool:
        """Whether all transforms are applied to whole batches."""
        return not self.each

    def transform(self, sample: Tensor) -> Tensor:
        """Apply the transforms of single samples.

        Raises:
            InputError: a transform cannot be applied to this sample.
        """
        for apply in self.each:
            sample = apply(sample)
        return sample

    def collate(self, samples: Sequence[Tensor]) -> Tensor:
        """Stack samples returned by `transform` and apply the elementwise transforms.

        Returns:
            The batch, float32, or int64 if inputs are integers, or float64 before it is standardised; shape
            (samples, *input_shape).

        Raises:
            InputError: the samples differ in shape, or a transform cannot be applied to them.
        """
        shapes = sorted({tuple(sample.shape) for sample in samples})
        if len(shapes) > 1:
            raise InputError.at(
                self.field,
                f"give samples of different shapes ({shapes[0]} and {shapes[-1]}); add Resize or CenterCrop",
            )
        plain = all(transform.function in {to_float, to_wide_float} for transform in self.together)
        if len(shapes[0]) != IMAGE_DIMENSIONS and not plain:  # others would take vectors for one image
            return torch.stack([_all(self.together, sample) for sample in samples])
        return _all(self.together, torch.stack(list(samples)))


def _all(transforms: Sequence[Callable[[Tensor], Tensor]], value: Tensor) -> Tensor:
    for apply in transforms:
        value = apply(value)
    return value.as_subclass(Tensor)


class SamplePipeline(Protocol):
    """The transforms of samples: `Pipeline`, or `NamedPipelines` for those of several inputs."""

    @property
    def inputs(self) -> tuple[NamedInput, ...]:
        """The inputs of the model, if it has several."""

    @property
    def is_random(self) -> bool:
        """Whether a transform draws random numbers."""

    @property
    def is_elementwise(self) -> bool:
        """Whether all transforms are applied to whole batches."""

    def transform(self, sample: Any) -> Inputs:  # noqa: ANN401 - the inputs of such samples
        """See `Pipeline.transform`."""

    def collate(self, samples: Any) -> Inputs:  # noqa: ANN401
        """See `Pipeline.collate`."""


@dataclass(frozen=True, slots=True)
class NamedPipelines:
    """The transforms of samples with several inputs, each of which has its own.

    Random transforms of a sample draw from one generator, in the order of the inputs.

    Attributes:
        inputs: The inputs of the model.
        pipelines: Name -> pipeline of each input, in their order.
    """

    inputs: tuple[NamedInput, ...]
    pipelines: Mapping[str, Pipeline]

    @property
    def is_random(self) -> bool:
        """Whether a transform draws random numbers, which it does with random functions of torch only."""
        return any(each.is_random for each in self.pipelines.values())

    @property
    def is_elementwise(self) -> bool:
        """Whether all transforms are applied to whole batches."""
        return all(each.is_elementwise for each in self.pipelines.values())

    def transform(self, sample: Mapping[str, Tensor]) -> Inputs:
        """Apply the transforms of single samples; see `Pipeline.transform`."""
        return {name: each.transform(sample[name]) for name, each in self.pipelines.items()}

    def collate(self, samples: Sequence[Mapping[str, Tensor]]) -> Inputs:
        """Stack the inputs of samples; see `Pipeline.collate`."""
        return {
            name: each.collate([sample[name] for sample in samples]) for name, each in self.pipelines.items()
        }


def training_pipeline(data: DataSpec) -> SamplePipeline:
    """Build the pipeline of training samples.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    if data.inputs:
        return _named_pipelines(data, lambda listed: listed)
    return build_pipeline(
        named(data.transforms, TRAINING_FIELD), TRAINING_FIELD, is_wide=data.is_standardized
    )


def evaluation_pipeline(data: DataSpec) -> SamplePipeline:
    """Build the pipeline of evaluation samples.

    It uses the transforms that the manifest lists for the evaluation.  Without such a list, it uses those of
    the training data without the random ones; random crops become central crops, because the model needs
    inputs of their size.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    if data.inputs:
        return _named_pipelines(data, without_random)
    return build_pipeline(*evaluation_transforms(data), is_wide=data.is_standardized)


def evaluation_transforms(data: DataSpec) -> tuple[list[Named], str]:
    """Return the transforms of evaluation samples, and the path of their list in the manifest."""
    if data.evaluation is not None and data.evaluation.transforms is not None:
        return named(data.evaluation.transforms, EVALUATION_FIELD), EVALUATION_FIELD
    return _unaugmented(data)


def unaugmented_pipeline(data: DataSpec) -> SamplePipeline:
    """Build the pipeline of training samples without random transforms, as `evaluation_pipeline` does.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    if data.inputs:
        return _named_pipelines(data, without_random)
    return build_pipeline(*_unaugmented(data), is_wide=data.is_standardized)


def _named_pipelines(data: DataSpec, chosen: Callable[[list[Named]], list[Named]]) -> NamedPipelines:
    built: dict[str, Pipeline] = {}
    violations: list[Violation] = []
    for position, each in enumerate(data.inputs):
        field = transforms_field(position)
        try:
            is_wide = each.standardize is not Standardization.NONE
            built[each.name] = build_pipeline(chosen(named(each.transforms, field)), field, is_wide=is_wide)
        except InputError as error:
            violations += error.violations
    if violations:
        raise InputError(*violations)
    return NamedPipelines(data.inputs, built)


def transforms_field(position: int) -> str:
    """Return the path of the transforms of one of several inputs."""
    return f"{INPUTS}[{position}].transforms"


def _unaugmented(data: DataSpec) -> tuple[list[Named], str]:
    return without_random(named(data.transforms, TRAINING_FIELD)), TRAINING_FIELD


def without_random(listed: Iterable[Named]) -> list[Named]:
    """Return the transforms that replace those of the training data in an evaluation."""
    return [fixed for each in listed for fixed in evaluation_counterpart(each)]


def build_pipeline(listed: Sequence[Named], field: str, *, is_wide: bool = False) -> Pipeline:
    """Build a pipeline, with the conversion to float32 inserted.

    The conversion scales uint8 to 0 … 1.  It comes before the first transform that requires floats, or last.

    Args:
        listed: The transforms.
        field: Path of their list in the manifest.
        is_wide: Whether float64 stays without transforms, as samples that are standardised need it.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    built = _build_all(listed) if listed else []
    position = next((i for i, transform in enumerate(built) if transform.name in NEED_FLOAT), len(built))
    convert = to_wide_float if is_wide and not built else to_float
    built.insert(position, BuiltTransform("ToFloat", field, convert, is_random=False))
    tail = len(built)
    while tail and built[tail - 1].name in ELEMENTWISE:
        tail -= 1
    return Pipeline(tuple(built[:tail]), tuple(built[tail:]), field)


def _build_all(listed: Sequence[Named]) -> list[BuiltTransform]:
    from pslgs.data.transform_library import build  # noqa: PLC0415 - torchvision takes 4 s and 90 MB

    built: list[BuiltTransform] = []
    violations: list[Violation] = []
    for each in listed:
        try:
            built.append(build(each))
        except InputError as error:
            violations += error.violations
    if violations:
        raise InputError(*violations)
    return built
