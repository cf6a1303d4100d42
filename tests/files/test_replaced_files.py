"""A file is replaced as a whole or not at all."""

import pytest

from pslgs.atomic_file import replacing


def test_a_file_has_its_old_content_until_the_new_one_is_complete(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with replacing(file) as new:
        new.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_was_not_there_appears(tmp_path):
    with replacing(tmp_path / "file") as new:
        new.write_text("new")
    assert (tmp_path / "file").read_text() == "new"


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")

    def fail() -> None:
        with replacing(file) as new:
            new.write_text("ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_crash_left_is_overwritten(tmp_path):
    (tmp_path / "file.new").write_text("half of something longer")
    with replacing(tmp_path / "file") as new:
        new.write_text("new")
    assert (tmp_path / "file").read_text() == "new"
    assert not (tmp_path / "file.new").exists()
