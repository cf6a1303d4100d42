"""Where data are: the path with ``{client}`` that leads to what lies in a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pslgs.drafting.places import Places, find_places
from pslgs.spec.data import DataFormat
from pslgs.spec.errors import InputError

Lay = Callable[..., None]


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """Create empty files below ``data`` in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def create(*names: str) -> None:
        for name in names:
            file = Path("data", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    return create


FOUND = {
    "images of each client": (
        ["a/cat/0.png", "a/dog/0.png", "b/cat/0.png", "b/dog/0.png"],
        Places(DataFormat.IMAGE_FOLDER, "data/{client}", None, ("a", "b")),
    ),
    "images of each client in two parts": (
        [f"{client}/{part}/{name}/0.png" for client in "ab" for part in ("train", "test") for name in "xy"],
        Places(DataFormat.IMAGE_FOLDER, "data/{client}/train", "data/{client}/test", ("a", "b")),
    ),
    "parts above clients": (
        [f"{part}/{client}/{name}/0.png" for client in "ab" for part in ("train", "val") for name in "xy"],
        Places(DataFormat.IMAGE_FOLDER, "data/train/{client}", "data/val/{client}", ("a", "b")),
    ),
    "images of one dataset": (
        ["cat/0.png", "dog/0.png"],
        Places(DataFormat.IMAGE_FOLDER, "data"),
    ),
    "images in two parts": (
        ["train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/dog/0.png"],
        Places(DataFormat.IMAGE_FOLDER, "data/train", "data/test"),
    ),
    "parts without a common class": (
        ["train/cat/0.png", "train/dog/0.png", "test/bird/0.png"],
        Places(DataFormat.IMAGE_FOLDER, "data/train", "data/test"),
    ),
    "images of patients within classes": (
        ["cat/tom/0.png", "cat/kitty/0.png", "dog/rex/0.png"],
        Places(DataFormat.IMAGE_FOLDER, "data"),
    ),
    "a table of each client": (
        ["site-1.csv", "site-2.csv"],
        Places(DataFormat.CSV, "data/{client}.csv", None, ("site-1", "site-2")),
    ),
    "a table of each client in two parts": (
        ["north_train.csv", "south_train.csv", "north_test.csv", "south_test.csv"],
        Places(DataFormat.CSV, "data/{client}_train.csv", "data/{client}_test.csv", ("north", "south")),
    ),
    "tables of clients and one for the evaluation": (
        ["north/train.parquet", "south/train.parquet", "test.parquet"],
        Places(DataFormat.PARQUET, "data/{client}/train.parquet", "data/test.parquet", ("north", "south")),
    ),
    "parts of one table": (
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"],
        Places(DataFormat.PARQUET, "data/train-*.parquet", "data/test-00000-of-00001.parquet"),
    ),
    "parts of a table of each client": (
        ["north/part-0.csv.gz", "north/part-1.csv.gz", "south/part-0.csv.gz"],
        Places(DataFormat.CSV, "data/{client}/part-*.csv.gz", None, ("north", "south")),
    ),
    "archives of each client": (
        ["Site_1.npz", "b.npz"],
        Places(DataFormat.NUMPY, "data/{client}.npz", None, ("b", "site-1")),
    ),
    "arrays of each client": (
        ["a/x.npy", "a/y.npy", "b/x.npy", "b/y.npy"],
        Places(DataFormat.NUMPY, "data/{client}", None, ("a", "b")),
    ),
    "an evaluation of other sites than the training": (
        ["train.npz", "a/test.npz", "b/test.npz"],
        Places(DataFormat.NUMPY, "data/train.npz"),
    ),
    "hidden and system files": (
        [".cache/x.csv", "__MACOSX/a.csv", "a.csv"],
        Places(DataFormat.CSV, "data/a.csv"),
    ),
}


@pytest.mark.parametrize(("files", "places"), FOUND.values(), ids=FOUND.keys())
def test_what_lies_in_a_folder_gives_the_path(files: list[str], places: Places, lay: Lay) -> None:
    lay(*files)
    assert find_places("data") == places


def test_the_validation_data_are_preferred_to_the_test_data(lay: Lay) -> None:
    lay("train.npz", "val.npz", "test.npz")
    assert find_places("data").evaluation == "data/val.npz"


def test_a_path_is_taken_as_it_is(lay: Lay) -> None:
    lay("a/1.csv", "b/1.csv")
    assert find_places("data/{client}/*.csv") == Places(
        DataFormat.CSV, "data/{client}/*.csv", None, ("a", "b")
    )
    assert find_places("data/a/1.csv") == Places(DataFormat.CSV, "data/a/1.csv")


def test_the_format_that_is_wanted_is_found_among_several(lay: Lay) -> None:
    lay("labels.csv", "cat/0.png", "dog/0.png")
    assert find_places("data", DataFormat.IMAGE_FOLDER) == Places(DataFormat.IMAGE_FOLDER, "data")


REFUSED = {
    "nothing": ([], "data", "in which no data can be found"),
    "several formats": (["a.csv", "b.npz"], "data", "holds data of CSV and NumPy; give --format"),
    "no order": (["a/b.csv", "c.csv"], "data", "are in no common order; give the path"),
    "a folder that does not exist": ([], "nowhere", "which does not exist"),
    "images without classes": (["0.png", "1.png"], "data", "in which no data can be found"),
    "a path without its format": (["a/cat/0.png"], "data/{client}", "does not say its format"),
    "a path to no client": (["a.csv"], "data/{client}.npz", "leads to the data of no client"),
}


@pytest.mark.parametrize(("files", "data", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_described_by_a_path_is_refused(
    files: list[str], data: str, problem: str, lay: Lay
) -> None:
    lay("notes.txt", *files)
    with pytest.raises(InputError, match=problem):
        find_places(data)
