from collections.abc import Iterator

import pytest
import torch

from pslgs.comparison.run_trial import computing_on


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    torch.set_deterministic_debug_mode("default")
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.set_deterministic_debug_mode("default")
    torch.utils.deterministic.fill_uninitialized_memory = True


def settings() -> tuple[int, int, bool]:
    fills: bool = torch.utils.deterministic.fill_uninitialized_memory
    return torch.get_num_threads(), torch.get_deterministic_debug_mode(), fills


def test_a_trial_computes_by_deterministic_algorithms_without_filling_memory_in_vain():
    before = settings()
    with computing_on(1):
        assert settings() == (1, 1, False)
    assert settings() == before == (before[0], 0, True)


def test_the_settings_are_restored_after_an_error():
    before = settings()
    with pytest.raises(ZeroDivisionError), computing_on(1):
        1 / 0  # noqa: B018 - raises
    assert settings() == before
