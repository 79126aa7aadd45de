"""Whether the connections of a fleet fit: the arithmetic."""

import pytest

from fastness.database import Fit, Fleet, PoolSize


def test_demand_counts_every_pool_that_may_be_open() -> None:
    """Replicas of a rollout, their processes, the workers and what these open besides, and what people need."""
    fleet = Fleet(replicas=4, surge=1, processes=2, workers=3, reserve=5)
    assert fleet.demand(PoolSize(kept=5, overflow=10)) == 5 * 2 * 15 + 3 * (15 + 3) + 5


@pytest.mark.parametrize("wrong", [{"replicas": 0}, {"processes": 0}, {"surge": -1}, {"workers": -1}, {"reserve": -1}])
def test_an_impossible_fleet_is_refused(wrong: dict[str, int]) -> None:
    """Nobody runs less than nothing."""
    with pytest.raises(ValueError, match="fleet"):
        Fleet(**wrong)


@pytest.mark.parametrize(
    ("fit", "verdict"),
    [
        (Fit(80, 100, "server"), "fits"),
        (Fit(81, 100, "server"), "tight"),
        (Fit(100, 100, "server"), "tight"),
        (Fit(101, 100, "role"), "too many"),
        (Fit(101, 100, "server", pooler=True), "fits"),
        (Fit(1000), "fits"),
    ],
)
def test_verdicts(fit: Fit, verdict: str) -> None:
    """Above four fifths it is tight, above the limit too much; a pooler keeps the server's limit by itself."""
    assert fit.verdict == verdict
    assert str(fit.demand) in str(fit) or fit.limit is None
