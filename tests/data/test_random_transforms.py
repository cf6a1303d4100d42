"""The random transforms of torchvision draw from torch's generator, which the seed of a sample starts."""

import pytest
import torch

from pslgs.data.transform_library import KNOWN
from pslgs.data.transforms import training_pipeline
from pslgs.spec.data import DataSpec

pytestmark = pytest.mark.slow  # torchvision is imported to list them

ARGUMENTS = {
    "AugMix": {},
    "AutoAugment": {},
    "ColorJitter": {"brightness": 0.9, "hue": 0.4},
    "ElasticTransform": {},
    "GaussianBlur": {"kernel_size": 3, "sigma": [0.1, 9.0]},
    "GaussianNoise": {},
    "RandAugment": {},
    "RandomAdjustSharpness": {"sharpness_factor": 3},
    "RandomAffine": {"degrees": 30},
    "RandomCrop": {"size": 4},
    "RandomPosterize": {"bits": 3},
    "RandomResize": {"min_size": 4, "max_size": 9},
    "RandomResizedCrop": {"size": 4},
    "RandomRotation": {"degrees": 30},
    "RandomShortestSize": {"min_size": [4, 5, 6, 7]},
    "RandomSolarize": {"threshold": 99},
    "ScaleJitter": {"target_size": [40, 40], "scale_range": [0.5, 2.0]},
    "TrivialAugmentWide": {},
}
BOXES = {"RandomIoUCrop"}  # moves bounding boxes, which samples do not have
DRAWING = sorted({name for name in KNOWN if name.startswith("Random")} - BOXES | set(ARGUMENTS))


def drawing(name: str) -> DataSpec:
    source = {"format": "ScikitLearn", "name": "digits", "split": "Train"}
    transform = {"name": name} | ARGUMENTS.get(name, {})
    return DataSpec.model_validate({"train": source, "transforms": [transform]})


@pytest.mark.parametrize("name", DRAWING)
def test_every_random_transform_draws_from_torchs_generator_alone(name):
    """Only then does the seed of a sample decide over its augmentation."""
    pipeline = training_pipeline(drawing(name))
    assert pipeline.is_random
    image = torch.randint(20, 200, (3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    drawn = []
    for seed in [*range(12), *range(12)]:
        torch.manual_seed(seed)
        drawn.append(pipeline.transform(image))
    assert all(torch.equal(a, b) for a, b in zip(drawn[:12], drawn[12:], strict=True))
    assert any(a.shape != drawn[0].shape or not torch.equal(a, drawn[0]) for a in drawn)
