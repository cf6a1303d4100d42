"""Data files are found through links and by content; what is left out is counted by reason."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from pslgs.data.discovery import matching_files
from pslgs.data.left_out import Reason, counts_by_reason
from pslgs.data.loading import open_source
from pslgs.spec.data import DataFormat, DataSource
from pslgs.spec.errors import InputError

FIELD = "spec.data.train"


@pytest.fixture
def root(tmp_path, pixels, as_png) -> Path:
    """Two images in each of the folders a and b."""
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        put(tmp_path / "images" / name, as_png(pixels[0]))
    return tmp_path / "images"


def put(file: Path, content: bytes = b"junk") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def opened(root: Path, cache: Path):
    return open_source(DataSource(format=DataFormat.IMAGE_FOLDER, path=str(root)), FIELD, cache)


def left_out(root: Path, cache: Path) -> dict[str, int]:
    return counts_by_reason(opened(root, cache).left_out)


def test_a_clean_folder_leaves_nothing_out(root, cache):
    source = opened(root, cache)
    assert (len(source), source.class_names, source.left_out) == (4, ("a", "b"), ())


JUNK = {
    "a copy from macOS": (["a/._0.png", "b/._1.png", "a/.DS_Store", ".DS_Store"], {"hidden": 4}),
    "an archive from macOS": (["__MACOSX/a/._0.png", "__MACOSX/._a"], {"system": 2}),
    "Windows": (["a/Thumbs.db", "b/desktop.ini", "a/deep/Thumbs.db"], {"system": 3}),
    "a network drive": (["a/@eaDir/0.png/THUMB_M.jpg", "#recycle/a/0.png"], {"system": 2}),
    "a volume": (
        ["lost+found/0.png", "$RECYCLE.BIN/S-1/0.png", "System Volume Information/x"],
        {"system": 3},
    ),
    "notebooks": (["a/.ipynb_checkpoints/0-checkpoint.png", ".git/HEAD", ".git/refs/main"], {"hidden": 3}),
    "notes": (["a/labels.csv", "README.md"], {"not_an_image": 2}),
}


@pytest.mark.parametrize(("names", "expected"), JUNK.values(), ids=JUNK.keys())
def test_files_of_systems_and_tools_are_left_out_and_counted(names, expected, root, cache):
    for name in names:
        put(root / name)
    source = opened(root, cache)
    assert (len(source), source.class_names) == (4, ("a", "b"))
    assert counts_by_reason(source.left_out) == expected


def test_what_is_left_out_is_named(root, cache):
    for name in ("a/w.txt", "a/x.txt", "a/y.txt", "a/z.txt"):
        put(root / name)
    assert [str(each) for each in opened(root, cache).left_out] == [
        "4 files that are not images (a/w.txt, a/x.txt, a/y.txt, …)"
    ]


def test_images_beside_the_folders_of_classes_are_counted(root, as_png, pixels, cache):
    put(root / "stray.png", as_png(pixels[0]))
    assert left_out(root, cache) == {"outside_classes": 1}


def test_links_to_files_folders_and_classes_are_followed(root, tmp_path, as_png, pixels, cache):
    for i in range(3):
        put(tmp_path / "pool" / "patient" / f"{i}.png", as_png(pixels[i]))
    (root / "a" / "patient").symlink_to(tmp_path / "pool" / "patient")
    (root / "b" / "2.png").symlink_to(tmp_path / "pool" / "patient" / "0.png")
    (root / "c").symlink_to(tmp_path / "pool")
    source = opened(root, cache)
    assert source.labels.tolist() == [0] * 5 + [1] * 3 + [2] * 3
    assert source.left_out == ()


CYCLES = {
    "of the root": [("a/up", "..")],
    "of itself": [("a/self", ".")],
    "as a class": [("loop", ".")],
    "of two folders": [("a/other", "../b"), ("b/other", "../a")],
}


@pytest.mark.parametrize("links", CYCLES.values(), ids=CYCLES.keys())
def test_circles_of_links_end_and_are_counted(links, root, cache):
    for name, target in links:
        (root / name).symlink_to(target)
    source = opened(root, cache)
    assert counts_by_reason(source.left_out) == {"link_cycle": len(links)}
    assert len(source) == (8 if len(links) == 2 else 4)


def test_a_link_that_leads_nowhere_is_a_damaged_image_or_counted(root, cache):
    (root / "a" / "gone.png").symlink_to("nowhere.png")
    (root / "a" / "gone").symlink_to("nowhere")
    source = opened(root, cache)
    assert counts_by_reason(source.left_out) == {"broken_link": 1}
    with pytest.raises(InputError, match=r"gone\.png', a damaged image"):
        source.load(2)


FORMATS = {
    "x": "PNG",
    "x.jfif": "JPEG",
    "x.jpe": "JPEG",
    "x.JPG": "JPEG",
    "x.TIF": "TIFF",
    "x.jp2": "JPEG2000",
    "x.png_medium": "PNG",
    "x.0001": "TIFF",
    "x.dat": "GIF",
    "x.bin": "BMP",
    "x.tga": "TGA",
    "scan.v2": "WEBP",
    "image.raw8": "PPM",
}


@pytest.mark.parametrize("name", FORMATS)
def test_files_are_images_by_content_where_the_suffix_tells_nothing(name, root, cache, as_png, pixels):
    put(root / "a" / name, as_png(pixels[0], FORMATS[name]))
    source = opened(root, cache)
    assert (len(source), source.left_out) == (5, ())
    assert source.load(2).shape == (3, 8, 6)


@pytest.mark.parametrize("name", ["a.nef", "a.csv", "a"], ids=str)
def test_what_only_begins_like_an_image_is_none(name, root, cache):
    put(root / "a" / name, {"a.nef": b"II*\0", "a.csv": b"BMI,age,sex\n22,40,1", "a": b"P1 of study 7"}[name])
    assert left_out(root, cache) == {"unsupported_image" if name == "a.nef" else "not_an_image": 1}


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_and_raw_images_are_left_out_with_what_to_do_about_them(root, cache):
    for name in ("a/IMG_1.HEIC", "a/IMG_2", "b/x.heif", "b/y.cr3", "z.heic"):
        put(root / name, HEIC)
    (found,) = opened(root, cache).left_out
    assert str(found).startswith("5 HEIC or raw images, which cannot be read and are to be converted to PNG")
    assert found.examples == ("z.heic", "a/IMG_1.HEIC", "a/IMG_2")


def test_a_heic_image_that_is_called_otherwise_says_what_it_is(root, cache):
    put(root / "a" / "0.png", HEIC)
    with pytest.raises(
        InputError, match="a damaged image: it is a HEIC image, which cannot be read; convert"
    ):
        opened(root, cache).load(0)


def test_a_folder_that_cannot_be_read_is_an_error(root, cache, monkeypatch):
    listed = Path.iterdir

    def refusing(folder: Path):
        if folder.name == "b":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(InputError, match=r"images/b', which cannot be read \(Permission denied\)"):
        opened(root, cache)


def test_a_folder_without_images_says_what_it_holds(tmp_path, cache):
    put(tmp_path / "images" / "a" / "scan.heic")
    with pytest.raises(InputError, match=r"holds no images .*1 HEIC or raw image.* \(a/scan.heic\)"):
        opened(tmp_path / "images", cache)


@pytest.fixture
def tables(tmp_path) -> Path:
    for name in ("t/0.parquet", "t/1.parquet", "t/._0.parquet", "t/__MACOSX/2.parquet"):
        put(tmp_path / name)
    return tmp_path / "t"


def names_of(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_files_that_a_pattern_should_not_match_are_counted(tables):
    files, others = matching_files(f"{tables}/**/*.parquet", FIELD)
    assert names_of(files) == ["0.parquet", "1.parquet"]
    assert counts_by_reason(others) == {"hidden": 1, "system": 1}


def test_hidden_files_are_read_where_they_are_named(tables):
    assert names_of(matching_files(f"{tables}/._0.parquet", FIELD)[0]) == ["._0.parquet"]
    assert names_of(matching_files(f"{tables}/._*.parquet", FIELD)[0]) == ["._0.parquet"]


def test_a_pattern_passes_links_but_no_circle_of_them(tables, tmp_path):
    put(tmp_path / "more" / "3.parquet")
    (tables / "linked").symlink_to(tmp_path / "more")
    (tables / "4.parquet").symlink_to(tmp_path / "more" / "3.parquet")
    (tables / "circle").symlink_to(tables)
    files, others = matching_files(f"{tables}/**/*.parquet", FIELD)
    assert names_of(files) == ["0.parquet", "1.parquet", "4.parquet", "3.parquet"]
    assert Reason.LINK_CYCLE in {each.reason for each in others}


def test_a_broken_link_that_a_pattern_matches_is_an_error(tables):
    (tables / "5.parquet").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"5\.parquet', which is a link that leads nowhere"):
        matching_files(f"{tables}/*.parquet", FIELD)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [("t", "is a folder; name its files, such as"), ("t/.*.parquet", "only 1 hidden"), ("u/*", "no file")],
    ids=["folder", "hidden", "nothing"],
)
def test_a_pattern_without_data_says_why(pattern, problem, tmp_path):
    put(tmp_path / "t" / "__MACOSX" / "0.parquet")
    put(tmp_path / "t" / "._0.parquet")
    wanted = f"{tmp_path}/t/[.]*.parquet" if "hidden" in problem else f"{tmp_path}/{pattern}"
    with pytest.raises(InputError, match=problem):
        matching_files(wanted, FIELD)


def test_tables_say_what_they_leave_out(write_parquet, tmp_path, cache):
    write_parquet("0.parquet", {"img": pa.array([[1.0], [2.0]]), "label": [0, 1]})
    put(tmp_path / "._0.parquet")
    os.mkfifo(tmp_path / "1.parquet")
    source = open_source(DataSource(format=DataFormat.PARQUET, path=f"{tmp_path}/*.parquet"), FIELD, cache)
    assert counts_by_reason(source.left_out) == {"hidden": 1, "not_a_file": 1}
