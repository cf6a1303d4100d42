import struct

import pytest

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.spec.errors import InputError


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        pytest.param(struct.error("unpack requires 4 bytes\nmore"), "unpack requires 4 bytes", id="one-line"),
        pytest.param(MemoryError(), "MemoryError", id="without-words"),
    ],
)
def test_whatever_a_library_raises_means_that_the_file_is_damaged(raised: Exception, words: str) -> None:
    with pytest.raises(DamagedFileError) as caught, read_by_library():
        raise raised
    assert str(caught.value) == words
    assert caught.value.__cause__ is raised


def test_a_sentence_for_the_user_stays_as_it_is() -> None:
    with pytest.raises(InputError, match=r"^spec\.data: is wrong$"), read_by_library():
        raise InputError.at("spec.data", "is wrong")
