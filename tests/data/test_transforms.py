import pytest
import torch

from pslgs.data.transforms import evaluation_pipeline, training_pipeline
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError

IMAGE = torch.arange(3 * 8 * 6, dtype=torch.uint8).reshape(3, 8, 6)
NORMALIZE = {"name": "Normalize", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


def spec(*transforms, evaluation=None) -> DataSpec:
    source = {"format": "ScikitLearn", "name": "digits", "split": "Train"}
    measured = source | {"split": "Test"} | ({} if evaluation is None else {"transforms": evaluation})
    return DataSpec.model_validate({"train": source, "transforms": transforms, "evaluation": measured})


def applied(pipeline, *samples):
    return pipeline.collate([pipeline.transform(sample) for sample in samples])


def names(pipeline) -> list[str]:
    return [each.name for each in pipeline.each + pipeline.together]


def test_without_transforms_an_image_becomes_float_between_0_and_1():
    result = applied(training_pipeline(spec()), IMAGE)
    assert result.dtype == torch.float32
    assert torch.allclose(result, IMAGE[None] / 255)


def test_features_pass_as_they_are():
    rows = torch.tensor([[-3.0, 700.0], [0.1, 0.2]])
    assert torch.equal(applied(training_pipeline(spec()), *rows), rows)


def test_an_image_becomes_float_before_it_is_normalised():
    result = applied(training_pipeline(spec({"name": "Resize", "size": [4, 3]}, NORMALIZE)), IMAGE)
    from torchvision.transforms import v2  # noqa: PLC0415 - collecting tests does not need it

    shrunk = v2.Resize([4, 3])(IMAGE) / 255
    expected = (shrunk - torch.tensor(NORMALIZE["mean"])[:, None, None]) / torch.tensor(NORMALIZE["std"])[
        :, None, None
    ]
    assert torch.allclose(result[0], expected)


def test_what_treats_elements_by_themselves_is_applied_to_the_batch_with_the_same_result():
    pipeline = training_pipeline(spec({"name": "CenterCrop", "size": 4}, NORMALIZE))
    assert [each.name for each in pipeline.together] == ["ToFloat", "Normalize"]
    images = [IMAGE, IMAGE.flip(0), 255 - IMAGE]
    singly = torch.cat([applied(pipeline, image) for image in images])
    assert torch.equal(applied(pipeline, *images), singly)


def test_a_matrix_is_not_taken_for_a_batch_of_images():
    pipeline = training_pipeline(spec({"name": "Normalize", "mean": [0.0], "std": [1.0]}))
    with pytest.raises(InputError, match="Normalize cannot be applied to samples of shape"):
        applied(pipeline, torch.ones(8, 6), torch.ones(8, 6))


def test_words_stand_for_torchs_values():
    pipeline = training_pipeline(
        spec(
            {"name": "Resize", "size": [4, 4], "interpolation": "NEAREST"},
            {"name": "AutoAugment", "policy": "cifar10"},
            {"name": "ToDtype", "dtype": "float32", "scale": True},
        )
    )
    assert pipeline.each[0].function.interpolation.name == "NEAREST"
    assert pipeline.each[1].function.policy.name == "CIFAR10"
    assert applied(pipeline, IMAGE).max() <= 1


def test_the_usual_to_tensor_scales_images():
    pipeline = training_pipeline(spec({"name": "ToTensor"}, NORMALIZE))
    assert torch.equal(applied(pipeline, IMAGE), applied(training_pipeline(spec(NORMALIZE)), IMAGE))


def test_to_image_leaves_a_plain_tensor():
    assert type(applied(training_pipeline(spec({"name": "ToImage"})), IMAGE)) is torch.Tensor


@pytest.mark.parametrize(
    ("transform", "random"),
    [
        pytest.param({"name": "RandomCrop", "size": 4}, True, id="RandomCrop"),
        pytest.param({"name": "TrivialAugmentWide"}, True, id="TrivialAugmentWide"),
        pytest.param({"name": "ColorJitter", "hue": 0.1}, True, id="ColorJitter"),
        pytest.param(NORMALIZE, False, id="Normalize"),
        pytest.param({"name": "Grayscale"}, False, id="Grayscale"),
    ],
)
def test_a_pipeline_knows_whether_it_is_random(transform, random):
    assert training_pipeline(spec(transform)).is_random is random


def test_an_evaluation_leaves_out_what_is_random_and_keeps_sizes():
    training = spec(
        {"name": "RandomResizedCrop", "size": 4, "scale": [0.5, 1.0], "interpolation": "bicubic"},
        {"name": "RandomHorizontalFlip"},
        {"name": "TrivialAugmentWide"},
        NORMALIZE,
        {"name": "RandomErasing"},
    )
    pipeline = evaluation_pipeline(training)
    assert names(pipeline) == ["Resize", "CenterCrop", "ToFloat", "Normalize"]
    assert not pipeline.is_random
    assert applied(pipeline, IMAGE).shape == (1, 3, 4, 4)


def test_a_random_crop_with_padding_leaves_the_evaluation_image_whole():
    pipeline = evaluation_pipeline(spec({"name": "RandomCrop", "size": [8, 6], "padding": 4}))
    assert torch.allclose(applied(pipeline, IMAGE), IMAGE[None] / 255)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param([{"name": "Grayscale"}], ["Grayscale", "ToFloat"], id="one"),
        pytest.param([], ["ToFloat"], id="none"),
    ],
)
def test_an_evaluation_may_have_transforms_of_its_own(own, expected):
    assert names(evaluation_pipeline(spec(NORMALIZE, evaluation=own))) == expected


@pytest.mark.parametrize(
    ("transform", "path", "words"),
    [
        pytest.param({"name": "RandomCorp", "size": 4}, ".name", "did you mean RandomCrop", id="misspelt"),
        pytest.param({"name": "Qqqq"}, ".name", r"see torchvision\.transforms\.v2", id="nothing like it"),
        pytest.param({"name": "MixUp"}, ".name", "cannot be used on single samples", id="on batches"),
        pytest.param({"name": "RandomChoice"}, ".name", "cannot be used on single samples", id="of others"),
        pytest.param(
            {"name": "RandomCrop"}, "", "does not accept these arguments: .*size", id="missing argument"
        ),
        pytest.param({"name": "Grayscale", "colour": 1}, "", "colour", id="unknown argument"),
        pytest.param({"name": "GaussianBlur", "kernel_size": 2}, "", "odd", id="bad value"),
        pytest.param({"name": "ToDtype", "dtype": "float33"}, "", "float33", id="unknown type"),
        pytest.param({"name": "Resize", "size": 4, "interpolation": "Soft"}, "", "soft", id="unknown word"),
    ],
)
def test_transforms_that_cannot_be_built_are_refused(transform, path, words):
    with pytest.raises(InputError, match=words) as caught:
        training_pipeline(spec({"name": "Grayscale"}, transform))
    assert [violation.path for violation in caught.value.violations] == [f"spec.data.transforms[1]{path}"]


def test_all_bad_transforms_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        training_pipeline(spec({"name": "A"}, {"name": "Grayscale"}, {"name": "B"}))
    assert [each.path for each in caught.value.violations] == [
        f"spec.data.transforms[{i}].name" for i in (0, 2)
    ]


def test_bad_transforms_of_an_evaluation_are_reported_at_their_own_place():
    with pytest.raises(InputError) as caught:
        evaluation_pipeline(spec(evaluation=[{"name": "Resize"}]))
    assert caught.value.violations[0].path == "spec.data.evaluation.transforms[0]"


def test_samples_that_a_transform_cannot_take_are_refused_with_their_shape():
    with pytest.raises(
        InputError, match=r"RandomCrop cannot be applied to samples of shape \(3, 8, 6\)"
    ) as caught:
        applied(training_pipeline(spec({"name": "RandomCrop", "size": 9})), IMAGE)
    assert caught.value.violations[0].path == "spec.data.transforms[0]"


def test_samples_of_different_shapes_make_no_batch():
    with pytest.raises(InputError, match=r"different shapes \(\(3, 5, 6\) and \(3, 8, 6\)\); add Resize"):
        applied(training_pipeline(spec()), IMAGE, IMAGE[:, :5])
