"""Each transform draws the same numbers from a thread's own generator as from torch's global one."""

import pytest
import torch

from pslgs.data.thread_random import ThreadGenerator
from pslgs.data.transform_library import KNOWN
from pslgs.data.transforms import RANDOM

pytestmark = pytest.mark.slow  # torchvision is imported to list the transforms

ARGUMENTS = {
    "AutoAugment": {},
    "AugMix": {},
    "ColorJitter": {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2},
    "ElasticTransform": {"alpha": 20.0},
    "GaussianBlur": {"kernel_size": 3},
    "GaussianNoise": {"sigma": 0.2},
    "JPEG": {"quality": [20, 90]},
    "RandomAdjustSharpness": {"sharpness_factor": 2.0},
    "RandomAffine": {"degrees": 30, "translate": [0.2, 0.2], "scale": [0.5, 1.5], "shear": 20},
    "RandomChannelPermutation": {},
    "RandomCrop": {"size": 8, "padding": 4},
    "RandomErasing": {"p": 1.0, "value": "random"},
    "RandomPerspective": {"p": 1.0},
    "RandomPosterize": {"bits": 3},
    "RandomResize": {"min_size": 8, "max_size": 20},
    "RandomResizedCrop": {"size": 8},
    "RandomRotation": {"degrees": 60},
    "RandomShortestSize": {"min_size": [8, 12, 16, 20]},
    "RandomSolarize": {"threshold": 100},
    "RandomZoomOut": {"p": 1.0},
    "ScaleJitter": {"target_size": [32, 32]},
}
NEED_BOXES = {"RandomIoUCrop"}
NEED_FLOAT = {"GaussianNoise", "RandomErasing"}

random_transforms = sorted(name for name in KNOWN if name.startswith("Random") or name in RANDOM)


@pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")
@pytest.mark.parametrize("name", [name for name in random_transforms if name not in NEED_BOXES])
def test_a_transform_draws_the_same_from_a_threads_own_generator(name):
    transform = KNOWN[name](**ARGUMENTS.get(name, {}))
    image = torch.randint(0, 256, (3, 48, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image = image / 255 if name in NEED_FLOAT else image
    generator = torch.Generator()
    for seed in range(5):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            expected = transform(image)
        before = torch.get_rng_state()
        generator.manual_seed(seed)
        with ThreadGenerator(generator):
            drawn = transform(image)
        assert torch.equal(drawn, expected)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("like", [torch.rand_like, torch.randn_like], ids=["uniform", "normal"])
def test_a_tensor_like_another_is_filled_from_a_threads_own_generator(like):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        expected = like(torch.zeros(4, 40))
    with ThreadGenerator(torch.Generator().manual_seed(3)):
        assert torch.equal(like(torch.zeros(4, 40)), expected)


def test_a_generator_that_is_given_stays():
    own, given = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    with ThreadGenerator(own):
        drawn = torch.rand(3, generator=given)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(2)))
