"""Options of architectures that state the size of samples or the number of outputs."""

import pytest

from pslgs.spec import InputError
from pslgs.spec.model import ModelSpec
from pslgs.splitting.data_options import check_sample_size, outputs_field


def model(architecture, **options):
    fields = {"architecture": architecture, "options": options, "cutLayer": "x"}
    return ModelSpec.model_validate(fields, by_alias=True, by_name=False)


@pytest.mark.parametrize(
    ("spec", "shape", "problem"),
    [
        pytest.param(model("mlp", inputs=18), (19,), "inputs: is 18, .* 19 values; set inputs: 19", id="mlp"),
        pytest.param(model("cnn"), (1, 8, 8), "channels: is 3, .* 1 channels; set channels: 1", id="cnn"),
        pytest.param(
            model("series-cnn", channels=2), (12, 500), "channels: is 2, .* set channels: 12", id="series"
        ),
        pytest.param(
            model("cnn", image=[1, 8, 8]), (63,), "image: is .* have 63; correct it", id="flat image"
        ),
    ],
)
def test_an_option_that_does_not_fit_the_samples_is_named(spec, shape, problem):
    with pytest.raises(InputError, match=rf"^spec\.model\.options\.{problem}"):
        check_sample_size(spec, shape)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (model("mlp", inputs=18), (2, 9)),
        (model("cnn", image=[1, 8, 8], channels=1), (64,)),
        (model("cnn"), (3, 9, 9)),
        (model("cnn"), (64,)),
        (model("resnet18"), (1, 8, 8)),
        (model("hospital.nets:build", inputs=3), (4,)),
    ],
    ids=["mlp", "flat image", "cnn", "no image", "other architecture", "own function"],
)
def test_what_fits_or_is_not_known_is_let_through(spec, shape):
    check_sample_size(spec, shape)


@pytest.mark.parametrize(
    ("architecture", "option"),
    [
        ("mlp", ".outputs"),
        ("cnn", ".classes"),
        ("text-cnn", ".outputs"),
        ("resnet18", ".num_classes"),
        ("timm/convnext_tiny", ".num_classes"),
        ("hf/vit", ".num_labels"),
        ("hospital.nets:build", ""),
    ],
)
def test_the_number_of_outputs_is_an_option_of_each_architecture(architecture, option):
    assert outputs_field(architecture) == f"spec.model.options{option}"
