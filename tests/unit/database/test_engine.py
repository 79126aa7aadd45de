"""What a database URL may be."""

import pytest

from fastness.database import PoolSize, parse_url


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h/d", "hunter2", "", "postgresql+asyncpg://u:hunter2@h/d", "sqlite://", "sqlite:///x?mode=memory"],
)
def test_another_database_is_refused_without_quoting_the_url(url: str) -> None:
    """A URL may hold a password."""
    with pytest.raises(ValueError, match="database URL") as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("kept", "overflow", "wait"), [(0, 5, 1), (1, -1, 1), (1, 0, 0)])
def test_an_impossible_pool_is_refused(kept: int, overflow: int, wait: float) -> None:
    """Without connections nothing works, and a wait of nothing is no wait."""
    with pytest.raises(ValueError, match="pool"):
        PoolSize(kept=kept, overflow=overflow, wait=wait)
