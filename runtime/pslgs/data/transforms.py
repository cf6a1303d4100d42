"""The transform pipeline of a sample, from the source's tensor to the network's float32 input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pslgs.data.transform_names import BuiltTransform, Named, evaluation_counterpart, named, to_float
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError, Violation

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
    """

    each: tuple[BuiltTransform, ...]
    together: tuple[BuiltTransform, ...]
    field: str

    @property
    def is_random(self) -> bool:
        """Whether a transform draws random numbers, which come from torch's global generator only."""
        return any(transform.is_random for transform in self.each)

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
            The batch, float32; shape (samples, *input_shape).

        Raises:
            InputError: the samples differ in shape, or a transform cannot be applied to them.
        """
        shapes = sorted({tuple(sample.shape) for sample in samples})
        if len(shapes) > 1:
            raise InputError.at(
                self.field,
                f"give samples of different shapes ({shapes[0]} and {shapes[-1]}); add Resize or CenterCrop",
            )
        if len(shapes[0]) != IMAGE_DIMENSIONS:  # transforms would take a batch of vectors for one image
            return torch.stack([_all(self.together, sample) for sample in samples])
        return _all(self.together, torch.stack(list(samples)))


def _all(transforms: Sequence[Callable[[Tensor], Tensor]], value: Tensor) -> Tensor:
    for apply in transforms:
        value = apply(value)
    return value.as_subclass(Tensor)


def training_pipeline(data: DataSpec) -> Pipeline:
    """Build the pipeline of training samples.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    return build_pipeline(named(data.transforms, TRAINING_FIELD), TRAINING_FIELD)


def evaluation_pipeline(data: DataSpec) -> Pipeline:
    """Build the pipeline of evaluation samples.

    It uses the transforms that the manifest lists for the evaluation.  Without such a list, it uses those of
    the training data without the random ones; random crops become central crops, because the model needs
    inputs of their size.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    if data.evaluation is not None and data.evaluation.transforms is not None:
        return build_pipeline(named(data.evaluation.transforms, EVALUATION_FIELD), EVALUATION_FIELD)
    kept = [
        fixed for each in named(data.transforms, TRAINING_FIELD) for fixed in evaluation_counterpart(each)
    ]
    return build_pipeline(kept, TRAINING_FIELD)


def build_pipeline(listed: Sequence[Named], field: str) -> Pipeline:
    """Build a pipeline, with the conversion to float32 inserted.

    The conversion scales uint8 to 0 … 1.  It comes before the first transform that requires floats, or last.

    Raises:
        InputError: a transform is unknown or does not accept its arguments; it holds all such errors.
    """
    built = _build_all(listed) if listed else []
    position = next((i for i, transform in enumerate(built) if transform.name in NEED_FLOAT), len(built))
    built.insert(position, BuiltTransform("ToFloat", field, to_float, is_random=False))
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
