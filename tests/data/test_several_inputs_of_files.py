"""CSV, Parquet and NumPy data with several inputs: columns or an array for each."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pslgs.data.loading import open_training_data
from pslgs.spec import InputError, parse_job

PERSON = {"name": "person", "columns": ["age", "sex"]}


def opened(train: dict[str, Any], inputs: list[dict[str, Any]], cache: Path):
    document = {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "a"},
        "spec": {
            "model": {"architecture": "mlp", "cutLayer": "first"},
            "data": {"train": train, "inputs": inputs},
            "epochs": 1,
        },
    }
    data = parse_job(document).spec.data
    return open_training_data(data, client_id="a", partition_index=None, seed=0, cache=cache)


def test_a_parquet_row_has_an_image_numbers_a_number_and_tokens(
    write_parquet, image_column, pixels, cache: Path
) -> None:
    path = write_parquet(
        "patients.parquet",
        {
            "scan": image_column,
            "age": pa.array(np.arange(12) + 30.5),
            "sex": pa.array([0, 1] * 6),
            "tokens": pa.array([[1] * (row % 4 + 1) for row in range(12)]),
            "label": pa.array([0, 1] * 6),
        },
    )
    inputs = [
        {"name": "image", "columns": ["scan"]},
        PERSON,
        {"name": "age", "standardize": "PerFeature"},
        {"name": "tokens", "type": "Integer", "length": 3},
    ]
    patients = opened({"format": "Parquet", "path": str(path)}, inputs, cache)
    batch = patients.in_order(6, 2).inputs  # behind the first group of rows
    torch.testing.assert_close(batch["image"], torch.from_numpy(pixels[6:8]).permute(0, 3, 1, 2) / 255)
    assert batch["person"].tolist() == [[36.5, 0.0], [37.5, 1.0]]
    assert batch["age"].tolist() == [[36.5], [37.5]]
    assert batch["tokens"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert batch["tokens"].dtype == torch.int64
    other = opened(
        {"format": "Parquet", "path": str(path)}, [inputs[0], PERSON | {"columns": ["sex"]}], cache
    )
    assert other.in_order(1, 1).inputs["person"].tolist() == [[1.0]]


def test_a_csv_row_is_divided_among_the_inputs(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.csv").write_text("age,sex,ward,label\n30.5,1,4,0\n40.5,0,2,1\n")
    ward = {"name": "ward", "type": "Integer"}
    patients = opened({"format": "CSV", "path": str(tmp_path / "a.csv")}, [PERSON, ward], cache)
    batch = patients.in_order(0, 2).inputs
    assert batch["person"].tolist() == [[30.5, 1.0], [40.5, 0.0]]
    assert batch["ward"].tolist() == [[4], [2]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(
            [{"name": "weight"}], r"^spec\.data\.inputs: names 'weight', but .* has the col", id="none"
        ),
        pytest.param(
            [{"name": "label"}], r"^spec\.data\.inputs: names 'label', which is a label", id="label"
        ),
        pytest.param([{"name": "age", "type": "Integer"}], "'30.5', which is not an integer", id="fractions"),
    ],
)
def test_columns_that_are_no_such_inputs_are_refused(inputs, message, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.csv").write_text("age,sex,label\n30.5,1,0\n40.5,0,1\n")
    with pytest.raises(InputError, match=message):
        opened({"format": "CSV", "path": str(tmp_path / "a.csv")}, [PERSON, *inputs], cache)


@pytest.mark.parametrize("archived", [True, False], ids=["archive", "folder"])
def test_numpy_data_have_an_array_for_each_input(archived: bool, tmp_path: Path, cache: Path) -> None:  # noqa: FBT001
    arrays = {"scan": np.full((3, 4, 4), 51, np.uint8), "age": np.array([30.0, 40, 50]), "y": np.arange(3)}
    path = tmp_path / ("a.npz" if archived else "a")
    if archived:
        np.savez(path, **arrays)
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    source = {"format": "NumPy", "path": str(path)}
    patients = opened(source, [{"name": "scan"}, {"name": "age", "layout": "Flat"}], cache)
    batch = patients.in_order(1, 2).inputs
    assert batch["scan"].shape == (2, 1, 4, 4)
    assert batch["scan"].unique().tolist() == pytest.approx([0.2])
    assert batch["age"].tolist() == [[40.0], [50.0]]
    with pytest.raises(InputError, match=r"years"):
        opened(source, [{"name": "scan"}, {"name": "years"}], cache)


def test_arrays_of_different_lengths_are_refused(tmp_path: Path, cache: Path) -> None:
    np.savez(tmp_path / "a.npz", scan=np.ones((3, 2)), age=np.ones((2, 1)), y=np.arange(3))
    with pytest.raises(InputError, match="has 2 samples of age but 3 labels"):
        opened(
            {"format": "NumPy", "path": str(tmp_path / "a.npz")}, [{"name": "scan"}, {"name": "age"}], cache
        )


def test_an_input_called_like_the_labels_is_refused(tmp_path: Path, cache: Path) -> None:
    np.savez(tmp_path / "a.npz", scan=np.ones((3, 2)), y=np.arange(3))
    with pytest.raises(InputError, match="names an input 'y', as the array of labels is called"):
        opened({"format": "NumPy", "path": str(tmp_path / "a.npz")}, [{"name": "scan"}, {"name": "y"}], cache)
