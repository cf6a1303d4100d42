"""Samples with several inputs, of a dataset of one's own: each has its form, transforms and scale."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pslgs.data.loading import open_training_data
from pslgs.data.sample_check import without_damaged
from pslgs.data.standardization import features_of_job, moments_of, scale_over
from pslgs.model_inputs import NamedShape, NamedShapes
from pslgs.spec import InputError, parse_job

INPUTS = [
    {"name": "image", "layout": "HWC", "standardize": "PerChannel"},
    {"name": "age", "standardize": "PerFeature"},
    {"name": "tokens", "type": "Integer", "length": 3},
]


class Patients:
    """Five patients; ``kind`` says what is wrong with their samples."""

    def __init__(self, kind: str = "") -> None:
        self.labels = [0, 1, 0, 1, 1]
        self._kind = kind

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> object:
        image = np.full((4, 4, 3), 10 * index, dtype=np.uint8)
        image[0, 0] = [0, 100, 200]
        age = np.array([30.0 + index, np.inf if self._kind == "damaged" and index == 2 else 1.0])
        sample = {"tokens": [1] * (index + 1), "image": image, "age": age}
        match self._kind:
            case "other":
                sample["years"] = sample.pop("age")
            case "single":
                return image, self.labels[index]
            case "texts":
                sample["age"] = "old"
            case "floats":
                sample["tokens"] = [1.5, 2.5, 3.5]
        return sample, self.labels[index]


def data(kind: str = "", inputs: list[dict] = INPUTS, **changes: object):
    train = {
        "format": "Custom",
        "entrypoint": "data.test_samples_with_several_inputs:Patients",
        "options": {"kind": kind},
    }
    document = {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "a"},
        "spec": {
            "model": {"architecture": "mlp", "cutLayer": "first"},
            "data": {"train": train, "inputs": inputs} | changes,
            "epochs": 1,
        },
    }
    return parse_job(document).spec.data


def opened(cache: Path, kind: str = "", inputs: list[dict] = INPUTS, **changes: object):
    spec = data(kind, inputs, **changes)
    return open_training_data(spec, client_id="a", partition_index=None, seed=0, cache=cache)


def test_a_batch_has_each_input_by_its_name_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    patients = opened(tmp_path)
    assert patients.input_shape == NamedShapes(
        (
            NamedShape("image", (3, 4, 4)),
            NamedShape("age", (2,)),
            NamedShape("tokens", (3,), is_integer=True),
        )
    )
    inputs = patients.in_order(1, 2).inputs
    assert list(inputs) == ["image", "age", "tokens"]
    torch.testing.assert_close(inputs["image"][0, :, 0, 0], torch.tensor([0.0, 100, 200]) / 255)
    assert inputs["age"].tolist() == [[31.0, 1.0], [32.0, 1.0]]
    assert inputs["tokens"].tolist() == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param("other", r"returned the inputs .*years with sample 0, but .* names image", id="other"),
        pytest.param("single", "must be a mapping with the inputs of spec.data.inputs", id="single"),
        pytest.param("texts", "'age' of sample 0 of type str", id="texts"),
        pytest.param("floats", r"spec\.data\.inputs\[2\]\.type: is Integer, but", id="floats"),
    ],
)
def test_samples_with_other_inputs_than_declared_are_refused(kind, message, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        opened(tmp_path, kind)


def test_a_mapping_without_declared_inputs_asks_for_the_declaration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"keys tokens, image, age .*; declare .* in spec\.data\.inputs"):
        opened(tmp_path, inputs=[])


def test_a_damaged_input_damages_its_sample(tmp_path: Path) -> None:
    assert opened(tmp_path, "damaged", onDamagedSample="Skip").samples == 4
    with pytest.raises(InputError, match=r"holds sample 2 .* not finite"):
        opened(tmp_path, "damaged").in_order(0, 5)
    patients = opened(tmp_path, "damaged")
    kept, left_out = without_damaged(patients._source, np.arange(5), "spec.data.train")
    assert kept.tolist() == [0, 1, 3, 4]
    assert len(left_out) == 1


def test_the_moments_of_inputs_with_different_numbers_of_values_merge_exactly(tmp_path: Path) -> None:
    patients = opened(tmp_path)
    spec = data()
    found = moments_of(spec, patients)
    assert found.count == 5
    assert len(found.mean) == 5
    merged = moments_of(spec, patients) + moments_of(spec, patients)
    plain = patients.in_order(0, 5).inputs
    scale = scale_over(spec, [patients, patients])
    np.testing.assert_allclose(scale.mean, merged.mean)
    both = torch.cat([plain["image"], plain["image"]]).double()
    np.testing.assert_allclose(scale.mean[:3], both.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(scale.deviation[:3], both.std((0, 2, 3), unbiased=False), rtol=1e-6)
    patients.standardize(scale)
    scaled = patients.in_order(0, 5).inputs
    torch.testing.assert_close(scaled["age"][:, 0].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert scaled["age"][:, 1].tolist() == [0.0] * 5
    assert torch.equal(scaled["tokens"], plain["tokens"])


def test_too_many_features_of_all_inputs_are_refused(tmp_path: Path) -> None:
    patients = opened(tmp_path)
    wide = data(inputs=[{"name": "image", "standardize": "PerFeature"}, *INPUTS[1:]])
    shape = NamedShapes((NamedShape("image", (3, 26, 26)), *patients.input_shape.inputs[1:]))
    assert features_of_job(wide, shape) == 2030
    wider = NamedShapes((NamedShape("image", (3, 27, 27)), *shape.inputs[1:]))
    with pytest.raises(InputError, match=r"inputs\[0\]\.standardize: is PerFeature"):
        features_of_job(wide, wider)
