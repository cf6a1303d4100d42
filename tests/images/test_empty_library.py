"""The empty libraries of the test image are real ones: the system's loader takes them."""

import ctypes
import importlib.util
import platform
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "images" / "runtime" / "without_cuda.py"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the libraries are for Linux on x86-64"
)


@pytest.fixture(scope="module")
def without_cuda():
    specification = importlib.util.spec_from_file_location("without_cuda", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["libx.so", "libcublasLt.so.13", "libnvrtc.so.13.2.86"], ids=str)
def test_an_empty_library_is_loaded_under_its_name(name, without_cuda, tmp_path):
    (tmp_path / "any").write_bytes(without_cuda.empty_library(name))
    library = ctypes.CDLL(str(tmp_path / "any"))
    with pytest.raises(AttributeError, match="undefined symbol"):
        _ = library.anything
    # The loader knows it by its name from now on, wherever it lies.
    ctypes.CDLL(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(
            "ImportError: libcudnn.so.9: cannot open shared object file: No such file",
            "libcudnn.so.9",
            id="lib",
        ),
        pytest.param("ImportError: libx.so: undefined symbol: y, version z", None, id="another reason"),
    ],
)
def test_the_missing_library_is_read_from_the_error(text, name, without_cuda):
    found = without_cuda.NEEDED.search(text)
    assert (found and found[1]) == name
