import asyncio

import pytest

from reconciling.life import World
from reconciling.lifetime import history


@pytest.fixture(scope="session")
def lived() -> dict[str, tuple[World, World, list[str]]]:
    """The life without faults, by what happens."""
    return {name: rest for name, *rest in asyncio.run(history())}
