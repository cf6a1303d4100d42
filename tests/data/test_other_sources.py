import pickle
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from pslgs.data.loading import for_client, open_source
from pslgs.spec.data import DataFormat, DataSource, Split
from pslgs.spec.errors import InputError

FIELD = "spec.data.train"


def of_format(data_format, **fields) -> DataSource:
    return DataSource(format=data_format, **fields)


def folder(root, **fields) -> DataSource:
    return of_format(DataFormat.IMAGE_FOLDER, path=str(root), **fields)


def numpy(path, **fields) -> DataSource:
    return of_format(DataFormat.NUMPY, path=str(path), **fields)


def torchvision(name, path, **fields) -> DataSource:
    return of_format(DataFormat.TORCHVISION, name=name, path=str(path), **fields)


def bundled(name, **fields) -> DataSource:
    return of_format(DataFormat.SCIKIT_LEARN, name=name, **fields)


def custom(entrypoint, **options) -> DataSource:
    return of_format(DataFormat.CUSTOM, entrypoint=entrypoint, options=options)


@pytest.fixture
def image_root(tmp_path, pixels, as_png):
    kinds = {"dog/a.png": "PNG", "cat/deep/b.BMP": "BMP", "cat/c.tiff": "TIFF"}
    for i, (name, kind) in enumerate(kinds.items()):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(as_png(pixels[i], kind))
    (tmp_path / "images" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path / "images"


def test_image_folders_are_numbered_by_name(image_root, pixels, cache):
    source = open_source(folder(image_root), FIELD, cache)
    assert source.class_names == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 1]
    loaded = [source.load(i).permute(1, 2, 0).numpy() for i in range(3)]
    assert all(np.array_equal(a, b) for a, b in zip(loaded, pixels[[2, 1, 0]], strict=True))


def test_image_files_are_opened_when_they_are_loaded(image_root, cache):
    (image_root / "dog" / "a.png").write_bytes(b"damaged")
    source = open_source(folder(image_root), FIELD, cache)
    source.load(0)
    with pytest.raises(InputError, match=r"dog/a\.png', a damaged image: its image format is unknown"):
        source.load(2)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK"], ids=str)
def test_images_of_every_mode_become_rgb(mode, tmp_path, cache):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    Image.new(mode, (4, 3)).save(tmp_path / "images" / "cat" / "a.tif")
    image = open_source(folder(tmp_path / "images"), FIELD, cache).load(0)
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 3, 4))


@pytest.fixture
def archive(tmp_path):
    def write(x, y, **more):
        np.savez(tmp_path / "d.npz", x=x, y=y, **more)
        return tmp_path / "d.npz"

    return write


def test_an_archive_holds_x_and_y(archive, cache):
    source = open_source(numpy(archive(np.arange(12.0).reshape(4, 3), [0, 1, 2, 1])), FIELD, cache)
    assert source.labels.tolist() == [0, 1, 2, 1]
    assert source.load(2).dtype == torch.float32
    assert source.load(2).tolist() == [6, 7, 8]


def test_a_folder_of_arrays_is_memory_mapped(tmp_path, cache):
    np.save(tmp_path / "x.npy", np.ones((5, 2)))
    np.save(tmp_path / "y.npy", np.linspace(0, 1, 5))
    source = open_source(numpy(tmp_path), FIELD, cache)
    assert isinstance(source._arrays[""], np.memmap)
    assert source.labels.dtype == np.float32
    assert source.load(0).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("stored", "loaded"),
    [
        pytest.param(((2, 8, 6, 3), np.uint8), ((3, 8, 6), torch.uint8), id="channels last"),
        pytest.param(((2, 3, 8, 6), np.uint8), ((3, 8, 6), torch.uint8), id="channels first"),
        pytest.param(((2, 8, 6), np.uint8), ((1, 8, 6), torch.uint8), id="grey image"),
        pytest.param(((2, 8), np.uint8), ((8,), torch.uint8), id="small numbers"),
        pytest.param(((2, 8, 6), np.float64), ((8, 6), torch.float32), id="matrix"),
        pytest.param(((2, 8, 6, 1), np.float32), ((8, 6, 1), torch.float32), id="float array"),
        pytest.param(((2, 7), np.bool_), ((7,), torch.float32), id="flags"),
    ],
)
def test_samples_of_arrays_come_with_channels_first(stored, loaded, archive, cache):
    sample = open_source(numpy(archive(np.ones(*stored), [0, 1])), FIELD, cache).load(1)
    assert (tuple(sample.shape), sample.dtype) == loaded


@pytest.mark.parametrize(
    ("name", "samples", "features", "classes"),
    [
        pytest.param("digits", 1797, 64, 10, id="digits"),
        pytest.param("iris", 150, 4, 3, id="iris"),
        pytest.param("wine", 178, 13, 3, id="wine"),
        pytest.param("breast_cancer", 569, 30, 2, id="breast_cancer"),
    ],
)
def test_bundled_datasets_are_scaled_and_divided(name, samples, features, classes, cache):
    parts = (Split.ALL, Split.TRAIN, Split.TEST)
    whole, train, test = (open_source(bundled(name, split=part), FIELD, cache) for part in parts)
    assert len(whole) == samples == len(train) + len(test)
    assert len(test) == -(-samples // 5)
    assert torch.equal(test.load(1), whole.load(5))
    assert torch.equal(train.load(4), whole.load(6))
    stacked = torch.stack([whole.load(i) for i in range(samples)])
    assert stacked.shape == (samples, features)
    assert stacked.min() == 0
    assert stacked.max() == 1
    assert len(whole.class_names) == classes == whole.labels.max() + 1


def test_a_bundled_regression_has_targets(cache):
    assert open_source(bundled("diabetes"), FIELD, cache).labels.dtype == np.float32


@pytest.fixture
def cifar_root(tmp_path, monkeypatch):
    """A CIFAR-10 that holds two made samples a part."""

    class Made:
        classes = ("plane", "car")

        def __init__(self, root, *, train):
            if not root.endswith("here"):
                raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it")
            self.targets = [0, 1] if train else [1, 1]

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return Image.new("L", (4, 3), color=index), self.targets[index]

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Made)
    return tmp_path / "here"


@pytest.mark.parametrize(
    ("split", "labels"), [(None, [0, 1]), (Split.TRAIN, [0, 1]), (Split.TEST, [1, 1])], ids=str
)
def test_a_torchvision_dataset_is_read_in_its_parts(split, labels, cifar_root, cache):
    source = open_source(torchvision("CIFAR10", cifar_root, split=split), FIELD, cache)
    assert source.labels.tolist() == labels
    assert source.class_names == ("plane", "car")
    assert source.load(1).tolist() == [[[1] * 4] * 3]


def test_a_real_torchvision_dataset_is_read(tmp_path, cache):
    root = tmp_path / "eurosat" / "2750"
    for name in ("Forest", "River"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / name / "1.jpg")
    source = open_source(torchvision("EuroSAT", tmp_path), FIELD, cache)
    assert source.labels.tolist() == [0, 1]
    assert source.class_names == ("Forest", "River")
    assert source.load(0).shape == (3, 4, 4)


class Listed:
    def __init__(self, items, **attributes):
        self.items = items
        self.loaded = []
        vars(self).update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.loaded.append(index)
        return self.items[index]


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("made_for_tests")
    monkeypatch.setitem(sys.modules, "made_for_tests", made)
    return made


@pytest.mark.parametrize(
    ("sample", "loaded"),
    [
        pytest.param(torch.ones(2, dtype=torch.float64), torch.ones(2), id="tensor"),
        pytest.param(np.ones((2, 2, 3), np.uint8), torch.ones(3, 2, 2, dtype=torch.uint8), id="image array"),
        pytest.param(Image.new("L", (2, 2)), torch.zeros(1, 2, 2, dtype=torch.uint8), id="Pillow image"),
        pytest.param([1, 2], torch.tensor([1.0, 2.0]), id="list"),
        pytest.param(torch.tensor([0.5], dtype=torch.bfloat16), torch.tensor([0.5]), id="bfloat16"),
    ],
)
def test_a_users_own_dataset_may_hold_samples_of_many_kinds(sample, loaded, module, cache):
    module.make = lambda count: Listed([(sample, i) for i in range(count)])
    source = open_source(custom("made_for_tests:make", count=3), FIELD, cache)
    assert source.labels.tolist() == [0, 1, 2]
    assert source.load(1).dtype == loaded.dtype
    assert torch.equal(source.load(1), loaded)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor], ids=["list", "array", "tensor"])
def test_a_dataset_that_knows_its_labels_is_not_read_for_them(kind, module, cache):
    made = Listed([([1.0], 4), ([2.0], 5)], labels=kind([4, 5]))
    module.make = lambda: made
    assert open_source(custom("made_for_tests:make"), FIELD, cache).labels.tolist() == [4, 5]
    assert made.loaded == []


@pytest.mark.parametrize("labels", [[0, 1], torch.tensor([0, 1])], ids=["list", "tensor"])
def test_labels_of_items_that_differ_from_those_of_the_attribute_are_named(labels, module, cache):
    module.make = lambda: Listed([([1.0], 0), ([2.0], 0)], labels=labels)
    source = open_source(custom("made_for_tests:make"), FIELD, cache)
    assert source.load(0).tolist() == [1.0]
    with pytest.raises(InputError, match=r"label 0 with the sample 1, but its attribute .* says 1"):
        source.load(1)


@pytest.mark.parametrize(
    ("labels", "of_items"),
    [
        pytest.param(["cat", "dog"], [1, 1], id="names"),
        pytest.param([0, 1], [None, None], id="no labels"),
        pytest.param([0, 1], [torch.tensor([0]), torch.tensor([1])], id="tensors"),
        pytest.param([0.1, 0.7], [0.1, np.float64(0.7)], id="targets"),
        pytest.param([[0, 1], [1, 1]], [7, 7], id="several targets"),
    ],
)
def test_labels_of_items_are_compared_where_both_are_single_numbers(labels, of_items, module, cache):
    module.make = lambda: Listed([([1.0], label) for label in of_items], labels=labels)
    source = open_source(custom("made_for_tests:make"), FIELD, cache)
    assert [source.load(index).tolist() for index in range(2)] == [[1.0], [1.0]]


def test_what_ends_a_process_from_outside_passes_code_of_a_user(module, cache):
    def interrupted():
        raise KeyboardInterrupt

    module.make = interrupted
    with pytest.raises(KeyboardInterrupt):
        open_source(custom("made_for_tests:make"), FIELD, cache)


def test_a_users_sample_that_cannot_be_read_is_named(module, cache):
    module.make = lambda: Listed([([1.0], 0), (["a"], 1)], labels=[0, 1])
    source = open_source(custom("made_for_tests:make"), FIELD, cache)
    with pytest.raises(InputError, match="sample 1 of type list"):
        source.load(1)


def test_the_client_stands_in_for_the_placeholder():
    placed = for_client(folder("images/{client}/x"), "node-1")
    assert placed.path == "images/node-1/x"
    told = for_client(custom("a.b:c", where="s3/{client}", size=3), "node-1")
    assert dict(told.options) == {"where": "s3/node-1", "size": 3}


class MoodError(Exception):
    pass


class Moody:
    """A dataset whose code raises an exception of its own."""

    def __init__(self, samples=None):
        self.samples = samples

    def __len__(self):
        if self.samples is None:
            raise MoodError("not today")
        return self.samples

    def __getitem__(self, index):
        raise MoodError("not this one")


def test_a_method_is_not_taken_for_labels(module, cache):
    class WithMethod(Listed):
        def labels(self):
            return [7]

    module.make = lambda: WithMethod([([1.0], 4)])
    assert open_source(custom("made_for_tests:make"), FIELD, cache).labels.tolist() == [4]


def test_a_module_of_a_user_may_raise_anything(tmp_path, monkeypatch, cache):
    (tmp_path / "grumpy_module.py").write_text("class Grumpy(Exception): ...\nraise Grumpy('go away')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"Grumpy: go away \(grumpy_module.py, line 2\)") as caught:
        open_source(custom("grumpy_module:make"), FIELD, cache)
    assert isinstance(caught.value.__cause__, Exception)


def fails(**_):
    raise OSError("the scanner is off")


class Panic(BaseException):
    """What extension modules raise, which is no Exception."""


def panics():
    raise Panic("in Rust")


def bad_folder(tmp_path, **fields):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    return folder(tmp_path / "images", **fields)


def bad_file(tmp_path, name, content=b"damaged"):
    (tmp_path / name).write_bytes(content)
    return numpy(tmp_path / name)


def half_a_folder(tmp_path, content=b"damaged"):
    (tmp_path / "x.npy").write_bytes(content)
    return numpy(tmp_path)


def single_array(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((1, 2)))
    return numpy(tmp_path / "x.npy")


def folder_of_objects(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((1, 2), object))
    return numpy(tmp_path)


def splits(tmp_path):
    for name in ("train", "test"):
        (tmp_path / name / "cat").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name / "cat" / "1.png")
    return folder(tmp_path)


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "d.npz", **arrays)
    return numpy(tmp_path / "d.npz")


def pickled(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.ones((1, 2)), y=np.array([1], dtype=object), allow_pickle=True)
    return numpy(tmp_path / "d.npz")


BAD_FILES = [
    pytest.param(lambda t: folder(t / "no"), ".path", "not exist: '.*' holds no 'no'", id="no folder"),
    pytest.param(bad_folder, ".path", "holds no images", id="no images"),
    pytest.param(
        lambda t: bad_folder(t, classes=("a",)), ".path", "none of the job's classes", id="unlisted"
    ),
    pytest.param(lambda t: numpy(t / "no.npz"), ".path", "does not exist", id="no archive"),
    pytest.param(lambda t: bad_file(t, "d.npz"), ".path", r"not a valid \.npz", id="damaged archive"),
    pytest.param(lambda t: bad_file(t, "d.npz", b""), ".path", r"not a valid \.npz", id="empty archive"),
    pytest.param(lambda t: bad_file(t, "d", b"PK\x03\x04"), ".path", r"valid \.npz", id="half an archive"),
    pytest.param(lambda t: saved(t, a=[1], b=[2]), ".path", "it holds a, b", id="other names"),
    pytest.param(half_a_folder, ".path", r"not a valid \.npy", id="damaged array"),
    pytest.param(numpy, ".path", r"lacks the file '.*x\.npy'", id="missing array"),
    pytest.param(lambda t: saved(t, x=[[1]], y=[1, 2]), "", "1 samples but 2 labels", id="unequal"),
    pytest.param(lambda t: saved(t, x=[["a"]], y=[1]), "", "must be rows of numbers", id="text"),
    pytest.param(lambda t: saved(t, x=[1, 2], y=[1, 2]), "", "must be rows of numbers", id="no rows"),
    pytest.param(lambda t: saved(t, x=np.ones((0, 2)), y=[]), "", "holds no samples", id="no samples"),
    pytest.param(lambda t: saved(t, x=[[1]], y=[1j]), "", "type complex128", id="complex labels"),
    pytest.param(
        lambda t: saved(t, x=[[1]], y=[[[1]]]), "", "3-dimensional", id="labels of three dimensions"
    ),
    pytest.param(
        lambda t: bad_file(t, "d.npz", pickle.dumps({"x": 1})),
        ".path",
        "valid .npz file; save it",
        id="pickle",
    ),
    pytest.param(single_array, ".path", r"a single array; name its folder", id="single array"),
    pytest.param(folder_of_objects, ".path", r"Python objects; .*astype\(int\)", id="folder of objects"),
    pytest.param(lambda t: saved(t, x=[[1]], y=0), "", "0-dimensional", id="one label"),
    pytest.param(lambda t: saved(t, x=1, y=[0]), "", "must be rows of numbers", id="one value"),
    pytest.param(
        lambda t: saved(t, x=[[1]], y=np.array([2**63], np.uint64)), "", "which is too large", id="huge label"
    ),
    pytest.param(lambda t: saved(t, x=[[1]] * 2, y=["a", ""]), "", "labels that are missing", id="no text"),
    pytest.param(
        lambda t: saved(t, x=[[1]] * 2, y=["a", "nan"]), "", "labels that are missing", id="nan as text"
    ),
    pytest.param(
        lambda t: saved(t, x=[[1]], y=[b"gr\xfcn"]),
        "",
        "labels of bytes that are not UTF-8",
        id="other bytes",
    ),
    pytest.param(splits, ".path", "'test', 'train' are parts of a dataset", id="folders of splits"),
    pytest.param(pickled, ".path", r"Python objects; .*astype\(int\)", id="objects"),
]
BAD_NAMES = [
    pytest.param(lambda _: bundled("digit"), ".name", "did you mean digits", id="unknown bundled"),
    pytest.param(lambda t: torchvision("cifar10", t), ".name", "mean CIFAR10", id="unknown dataset"),
    pytest.param(lambda t: torchvision("CIFAR10", t), ".path", "files there", id="no such files"),
    pytest.param(lambda t: torchvision("EuroSAT", t, split=Split.TEST), ".split", "no test", id="undivided"),
]


@pytest.mark.parametrize(("make", "path", "words"), BAD_FILES + BAD_NAMES)
def test_bad_data_are_refused(make, path, words, tmp_path, cache):
    with pytest.raises(InputError, match=words) as caught:
        open_source(make(tmp_path), FIELD, cache)
    assert [violation.path for violation in caught.value.violations] == [FIELD + path]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entrypoint", "make", "words"),
    [
        pytest.param("no_such.place:make", fails, "cannot be imported", id="no module"),
        pytest.param("made_for_tests:no", fails, "no function .no.", id="no function"),
        pytest.param("made_for_tests:__name__", fails, "no function", id="a value"),
        pytest.param("made_for_tests:make", fails, "OSError: the scanner is off", id="failing function"),
        pytest.param("made_for_tests:make", lambda: 3, "returned a int", id="no dataset"),
        pytest.param("made_for_tests:make", lambda: Listed([]), "no samples", id="empty dataset"),
        pytest.param(
            "made_for_tests:make", lambda: Listed([3]), "a value of type int as sample 0", id="no pairs"
        ),
        pytest.param(
            "made_for_tests:make",
            lambda: Listed([{"image": 1, "label": 0}]),
            r"a dict with the keys image, label as sample 0; it must be a pair \(input, label\)",
            id="records",
        ),
        pytest.param("made_for_tests:make", lambda: Listed(["ab"]), "type str as sample 0", id="texts"),
        pytest.param(
            "made_for_tests:make", lambda: Listed([(1, 2, 3)]), "a tuple of 3 as sample 0", id="triples"
        ),
        pytest.param(
            "made_for_tests:make",
            lambda: Listed([([1.0], 0)] * 2, labels=[0, None]),
            "labels that are missing",
            id="missing label",
        ),
        pytest.param(
            "made_for_tests:make",
            lambda: Listed([([1.0], "a")] * 2, labels=["a", float("nan")]),
            "labels that are missing",
            id="missing text",
        ),
        pytest.param(
            "made_for_tests:make",
            lambda: Listed([([1.0], 0)] * 2, labels=[[0], [0, 1]]),
            "differ in length",
            id="ragged labels",
        ),
        pytest.param("made_for_tests:make", sys.exit, "failed with SystemExit", id="exit"),
        pytest.param("made_for_tests:make", panics, "Panic: in Rust", id="no Exception"),
        pytest.param(
            "made_for_tests:make",
            Moody,
            r"MoodError: not today \(test_other_sources.py, line",
            id="own exception",
        ),
        pytest.param(
            "made_for_tests:make", lambda: Moody(2), "sample 0 with MoodError", id="own exception of items"
        ),
    ],
)
def test_a_users_function_that_does_not_work_is_refused(entrypoint, make, words, module, cache):
    module.make = make
    with pytest.raises(InputError, match=words) as caught:
        open_source(custom(entrypoint), FIELD, cache)
    assert [violation.path for violation in caught.value.violations] == [f"{FIELD}.entrypoint"]
