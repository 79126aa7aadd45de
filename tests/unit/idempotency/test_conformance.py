"""The memory store gives the answers that every store must give."""

import pytest

from fastness.idempotency import MemoryStore
from fastness.testing.conformance.idempotency import StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def make_store(self):
        return lambda clock: MemoryStore(clock=clock)
