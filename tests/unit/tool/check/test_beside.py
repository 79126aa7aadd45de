"""Work that is shared by processes is done once, whoever takes it."""

import os
from functools import partial

import pytest

from fastness.tool.check.beside import Beside, Shared, possible
from fastness.tool.errors import CommandError


def _pieces(number: int) -> list["partial[int]"]:
    return [partial(int, str(one)) for one in range(number)]


@pytest.mark.parametrize("apart", [False, True])
def test_each_piece_is_done_once(apart: bool) -> None:
    """Between two processes, or all of it here when its result is asked for."""
    if apart and not possible():
        pytest.skip("no process can be forked here")
    with Shared(_pieces(500)) as shared, Beside(shared.work, apart=apart) as other:
        taken: list[int] = []
        own = shared.work(taken.append)
        assert sorted([*own, *other.result()]) == list(range(500))
        assert own == taken


def test_what_is_withdrawn_nobody_does() -> None:
    """It can be shared anew, with other pieces."""
    with Shared(_pieces(5)) as early:
        left = early.withdrawn()
        assert early.work() == []
        with Shared([*left, *_pieces(2)]) as late:
            assert late.work() == [0, 1, 2, 3, 4, 0, 1]


def test_a_process_that_dies_is_told() -> None:
    """By what, and what to do."""
    if not possible():
        pytest.skip("no process can be forked here")
    with Beside(lambda: os.kill(os.getpid(), 9), apart=True) as dying, pytest.raises(CommandError, match=r"signal 9.*--jobs 1"):
        dying.result()
