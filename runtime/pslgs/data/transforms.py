"""The pipeline of a sample: torchvision.transforms.v2 by name, and the step to float32."""

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
    """Transforms in their order.

    Attributes:
        each: Applied to every sample by itself.
        together: What follows and treats every element by itself, so that it may be applied to a whole
            batch with the same result; cheaper by far than sample by sample.
        field: Where the manifest lists the transforms.
    """

    each: tuple[BuiltTransform, ...]
    together: tuple[BuiltTransform, ...]
    field: str

    @property
    def is_random(self) -> bool:
        """Whether a sample's transform draws random numbers (from torch's global generator only)."""
        return any(transform.is_random for transform in self.each)

    def transform(self, sample: Tensor) -> Tensor:
        """Apply what concerns a sample by itself.

        Raises:
            InputError: a transform cannot take such a sample.
        """
        for apply in self.each:
            sample = apply(sample)
        return sample

    def collate(self, samples: Sequence[Tensor]) -> Tensor:
        """Stack samples that are through `transform`, and apply the rest; float32, shape (samples, …).

        Raises:
            InputError: the samples differ in shape, or a transform cannot take them.
        """
        shapes = sorted({tuple(sample.shape) for sample in samples})
        if len(shapes) > 1:
            raise InputError.at(
                self.field,
                f"leave samples of different shapes ({shapes[0]} and {shapes[-1]}); add Resize or CenterCrop",
            )
        if len(shapes[0]) != IMAGE_DIMENSIONS:  # for transforms, two-dimensional samples would be one image
            return torch.stack([_all(self.together, sample) for sample in samples])
        return _all(self.together, torch.stack(list(samples)))


def _all(transforms: Sequence[Callable[[Tensor], Tensor]], value: Tensor) -> Tensor:
    for apply in transforms:
        value = apply(value)
    return value.as_subclass(Tensor)


def training_pipeline(data: DataSpec) -> Pipeline:
    """Build the transforms of a training sample.

    Raises:
        InputError: unknown names or bad arguments, all of them.
    """
    return build_pipeline(named(data.transforms, TRAINING_FIELD), TRAINING_FIELD)


def evaluation_pipeline(data: DataSpec) -> Pipeline:
    """Build the transforms of an evaluation sample.

    They are its own if the manifest has them; otherwise those of training, without what is random.
    Random crops become central ones, because the model needs their size.

    Raises:
        InputError: unknown names or bad arguments, all of them.
    """
    if data.evaluation is not None and data.evaluation.transforms is not None:
        return build_pipeline(named(data.evaluation.transforms, EVALUATION_FIELD), EVALUATION_FIELD)
    kept = [
        fixed for each in named(data.transforms, TRAINING_FIELD) for fixed in evaluation_counterpart(each)
    ]
    return build_pipeline(kept, TRAINING_FIELD)


def build_pipeline(listed: Sequence[Named], field: str) -> Pipeline:
    """Build transforms; uint8 becomes float32 in 0…1 before the first that needs it, or at the end.

    Raises:
        InputError: unknown names or bad arguments, all of them.
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
