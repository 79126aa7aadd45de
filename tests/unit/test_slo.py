"""The declaration of objectives: what it takes, what it refuses, and the bounds that follow from it."""

from dataclasses import FrozenInstanceError
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.slo import SLO, Availability, Latency, latency_thresholds

FAST = Latency(threshold=0.25, objective=0.99)


def test_a_declaration_keeps_what_it_is_given() -> None:
    """An SLO is a frozen value that can be compared and used as a key."""
    slo = SLO("ingest-events", routes=("POST /v1/events", "/v1/batch"), latency=FAST, availability=Availability(0.999))
    assert slo.window_days == 28
    assert {slo: 1}[SLO("ingest-events", slo.routes, FAST, Availability(0.999))] == 1
    with pytest.raises(FrozenInstanceError):
        slo.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("objective", [0, 1, -0.1, 99.9, float("nan"), float("inf")])
def test_an_objective_is_a_share_between_none_and_all(objective: float) -> None:
    """0 is no objective, 1 leaves no error budget, and 99.9 was meant to be 0.999."""
    with pytest.raises(ValueError, match=r"99 % is 0\.99"):
        Availability(objective)
    with pytest.raises(ValueError, match="latency objective"):
        Latency(threshold=1, objective=objective)


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf")])
def test_a_threshold_is_a_positive_number_of_seconds(threshold: float) -> None:
    """Nothing is answered in no time."""
    with pytest.raises(ValueError, match="threshold"):
        Latency(threshold=threshold, objective=0.99)


@given(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True), st.floats(1e-6, 1e6))
def test_every_share_and_every_time_in_range_is_taken(objective: float, threshold: float) -> None:
    """Nothing in range is refused."""
    assert Availability(objective).objective == objective
    assert Latency(threshold=threshold, objective=objective).threshold == threshold


@pytest.mark.parametrize("name", ["", "Ingest", "1st", "a_b", "a b", "a-", "a--b", "-a", "a" * 64, "a\n", "é"])
def test_a_name_is_words_joined_by_hyphens(name: str) -> None:
    """A name has to do in a metric, a file and a URL."""
    with pytest.raises(ValueError, match="SLO name"):
        SLO(name, routes=("/",), latency=FAST)


@given(st.from_regex(r"\A[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,5}\Z"))
def test_every_name_of_that_form_is_taken(name: str) -> None:
    """Words joined by hyphens are a name."""
    assert len(name) > 63 or SLO(name, routes=("/",), latency=FAST).name == name


@pytest.mark.parametrize("route", ["", "v1", "post /v1", "POST v1", "POST  /v1", "POST /v1 /v2", "GET,POST /v1"])
def test_a_route_is_a_template_with_or_without_a_method(route: str) -> None:
    """A route that could never match is refused."""
    with pytest.raises(ValueError, match="is not 'METHOD /template'"):
        SLO("slo", routes=(route,), latency=FAST)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"routes": ()}, "names no route"),
        ({"routes": "POST /v1"}, "is one text"),
        ({"routes": ("/a", "/a")}, "names a route twice"),
        ({"latency": None}, "has no objective"),
        ({"window_days": 0}, "is not a window"),
    ],
)
def test_a_declaration_that_says_nothing_is_refused(options: dict[str, Any], said: str) -> None:
    """An objective needs routes, a target and a window; the error names the SLO."""
    with pytest.raises(ValueError, match=f"'slo'.*{said}"):
        SLO("slo", **{"routes": ("/",), "latency": FAST, **options})


@given(st.lists(st.none() | st.floats(min_value=0.001, max_value=100), max_size=10))
def test_thresholds_are_ascending_and_each_there_once(thresholds: list[float | None]) -> None:
    """The bounds of a histogram: those of every SLO with a latency, sorted, without repetition."""
    slos = [
        SLO("slo", ("/",), latency=None if t is None else Latency(t, 0.9), availability=Availability(0.9)) for t in thresholds
    ]
    found = latency_thresholds(slos)
    assert set(found) == {t for t in thresholds if t is not None}
    assert all(earlier < later for earlier, later in pairwise(found))
