"""The group of tasks that raises an error instead of an exception group."""

import traceback

import pytest

from pslgs.process.tasks import task_group
from pslgs.spec.entrypoints import user_code
from pslgs.spec.errors import InputError


async def fail() -> None:
    with user_code("spec.data"):
        {}["of the user"]


async def in_groups() -> None:
    async with task_group() as outer, task_group() as inner:
        inner.create_task(fail())
        outer.create_task(fail())


async def test_the_error_of_a_task_keeps_its_cause_through_nested_groups():
    with pytest.raises(InputError, match="of the user") as raised:
        await in_groups()
    assert isinstance(raised.value.__cause__, KeyError)
    assert "KeyError: 'of the user'\n" in "".join(traceback.format_exception(raised.value))
