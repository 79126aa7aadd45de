"""Which modules were looked into, as a set of bits: each module has its own, and the lowest stands for all of them."""

from __future__ import annotations

EVERYTHING = 1


class Reading:
    """What was looked into since somebody set `mask` to zero."""

    __slots__ = ("mask",)

    def __init__(self) -> None:
        self.mask = 0
