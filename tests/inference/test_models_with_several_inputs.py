"""The model of a run that takes several inputs is loaded, used and exported with them by name."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from exactness.several_inputs import job_spec
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.inference.export import export_model, runner
from pslgs.inference.formats import ExportFormat, Part
from pslgs.inference.prediction import predict_files
from pslgs.inference.trained_model import load_model, read_model
from pslgs.model_inputs import NamedShapes, tensors_of
from pslgs.server.run_checkpoint import write_model
from pslgs.spec import InputError
from pslgs.training.description import describe
from pslgs.training.setup import build_setup

SCALE = FeatureScale(np.array([50.0, 0.0]), np.array([20.0, 1.0]))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    spec = job_spec()
    shape = NamedShapes.of(spec.data.inputs, [(1, 5, 5), (2,), (4,), (4,)])
    setup, network = build_setup(spec, shape)
    write_model(network.named_tensors(), describe(spec, setup, network, ["old", "young"], SCALE), tmp_path)
    return tmp_path


def inputs() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {
        "image": torch.rand(3, 1, 5, 5, generator=rng).double(),
        "person": torch.rand(3, 2, generator=rng).double(),
        "tokens": torch.randint(0, 9, (3, 4), generator=rng),
        "mask": torch.ones(3, 4, dtype=torch.int64),
    }


def stored(folder: Path, **changes: np.ndarray) -> Path:
    """Write five patients as they come from a clinic."""
    rng = np.random.default_rng(0)
    patients = {
        "image": rng.integers(0, 256, (5, 5, 5), dtype=np.uint8),
        "person": rng.normal([50, 0], [20, 1], (5, 2)),
        "tokens": rng.integers(0, 9, (5, 4)),
        "mask": np.ones((5, 4), np.int64),
    }
    np.savez(folder / "new.npz", **(patients | changes))
    return folder / "new.npz"


def test_a_prediction_prepares_each_input_as_the_training_did(run: Path) -> None:
    model = load_model(run)
    file = stored(run)
    found = list(predict_files(model, [file]))
    assert [each.sample for each in found] == [f"{file}:{row}" for row in range(5)]
    arrays = np.load(file)
    with torch.no_grad():
        outputs = model(
            image=torch.from_numpy(arrays["image"])[:, None].double() / 255,
            person=((torch.from_numpy(arrays["person"]) - torch.tensor([50.0, 0])) / torch.tensor([20.0, 1])),
            tokens=torch.from_numpy(arrays["tokens"]),
            mask=torch.from_numpy(arrays["mask"]),
        )
    chances = [each.probabilities["young"] for each in found]
    np.testing.assert_allclose(chances, outputs.softmax(1)[:, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"mask": np.ones((4, 4), np.int64)}, "different numbers of rows", id="rows"),
        pytest.param({"person": np.ones((5, 3))}, r"person \[3\].*the model takes image", id="shape"),
    ],
)
def test_a_file_with_other_inputs_is_refused(run: Path, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        list(predict_files(load_model(run), [stored(run, **changes)]))


def test_a_file_of_one_input_is_refused(run: Path) -> None:
    np.save(run / "x.npy", np.ones((2, 2)))
    with pytest.raises(InputError, match=r"the model takes image, person, tokens, mask; give \.npz files"):
        list(predict_files(load_model(run), [run / "x.npy"]))


@pytest.mark.parametrize("part", list(Part), ids=str)
def test_torchscript_has_the_names_of_the_inputs(run: Path, part: Part) -> None:
    file = run / "m.pt"
    model, kind = read_model(run), ExportFormat.TORCHSCRIPT
    assert export_model(model, kind, part, file, inputs()) <= 1e-10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, on its plans
        loaded = torch.jit.load(file)
    names = [each.name for each in loaded.forward.schema.arguments[1:]]
    if part is not Part.SERVER:
        assert names == ["image", "person", "tokens", "mask"]
    if part is Part.WHOLE:
        (outputs,) = runner(model, kind, part, file)(*tensors_of(inputs()))
        torch.testing.assert_close(outputs, load_model(run)(**inputs()))


def test_safetensors_are_a_model_with_the_same_inputs(run: Path) -> None:
    export_model(read_model(run), ExportFormat.SAFETENSORS, Part.WHOLE, run / "copy.safetensors", inputs())
    copy = load_model(run / "copy.safetensors")
    assert copy.description == load_model(run).description
    assert copy.description.input_names == ("image", "person", "tokens", "mask")
