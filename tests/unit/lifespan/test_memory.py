"""The garbage collector of a started service."""

import gc

from fastness.lifespan import Resources
from fastness.lifespan.memory import settled


def test_what_exists_is_left_alone_and_put_back() -> None:
    """Inside, objects are frozen and collections are rare; afterwards all is as before."""
    before = gc.get_threshold()
    frozen = gc.get_freeze_count()
    with settled():
        assert gc.get_freeze_count() > frozen
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


async def test_a_lifespan_settles_when_it_is_asked_to() -> None:
    """Only then, and for as long as the service runs."""
    before = gc.get_threshold()
    async with Resources([]).lifespan():
        assert gc.get_threshold() == before
    async with Resources([], settle=True).lifespan():
        assert gc.get_threshold() != before
    assert gc.get_threshold() == before
