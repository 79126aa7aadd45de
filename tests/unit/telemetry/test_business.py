"""Business metrics have a namespace of their own, and a bound on their labels."""

import logging

import pytest

from fastness import _metrics
from fastness.telemetry import business


def value(name: str, **labels: str) -> float | None:
    return _metrics.BUSINESS.get_sample_value(f"business_{name}", labels)


def test_each_kind_counts() -> None:
    """Counters add, gauges are set and changed, histograms observe; all under the prefix."""
    business.counter("t_events", "Events.", ["kind"]).add(2, kind="a")
    gauge = business.gauge("t_open", "Open.")
    gauge.set(5)
    gauge.add(-2)
    business.histogram("t_delay_seconds", "Delay.", buckets=(1, 10)).observe(3)
    assert value("t_events_total", kind="a") == 2
    assert value("t_open") == 3
    assert value("t_delay_seconds_bucket", le="10.0") == 1
    assert value("t_delay_seconds_bucket", le="1.0") == 0


def test_values_that_were_not_declared_are_other(caplog: pytest.LogCaptureFixture) -> None:
    """A label with declared values takes no others; what goes beyond is counted, and logged once."""
    metric = business.counter("t_plans", "Plans.", {"plan": ("free", "paid")})
    with caplog.at_level(logging.WARNING):
        for plan in ("free", "paid", "x", "y"):
            metric.add(plan=plan)
    assert value("t_plans_total", plan="free") == 1
    assert value("t_plans_total", plan=business.OTHER) == 2
    assert value("t_plans_total", plan="x") is None
    overflow = "fastness_telemetry_label_overflow_total"
    assert _metrics.REGISTRY.get_sample_value(overflow, {"metric": "business_t_plans"}) == 2
    assert len([record for record in caplog.records if "business_t_plans" in record.getMessage()]) == 1


def test_the_number_of_series_is_bounded() -> None:
    """However many values there are, no more series than declared are made, and one for the rest; nothing is lost."""
    metric = business.counter("t_tenants", "Tenants.", {"tenant": None, "kind": ("a",)}, max_series=3)
    for number in range(50):
        metric.add(tenant=str(number), kind="a")
    metric.add(tenant="0", kind="a")
    samples = [
        sample
        for family in _metrics.BUSINESS.collect()
        for sample in family.samples
        if sample.name == "business_t_tenants_total"
    ]
    assert len(samples) == 4
    assert sum(sample.value for sample in samples) == 51
    assert value("t_tenants_total", tenant="0", kind="a") == 2
    assert value("t_tenants_total", tenant=business.OTHER, kind=business.OTHER) == 47


def test_labels_are_those_that_were_declared() -> None:
    """A missing or unknown label is an error that names both."""
    metric = business.counter("t_labels", "Labels.", ["kind"])
    for labels in ({}, {"other": "x"}, {"kind": "a", "other": "x"}):
        with pytest.raises(ValueError, match=r"business_t_labels.*\['kind'\]"):
            metric.add(**labels)


def test_wrong_declarations_are_refused() -> None:
    """A name that is taken by another kind, a bound below one, and a negative amount are errors."""
    counter = business.counter("t_taken", "Taken.")
    with pytest.raises(ValueError, match="business_t_taken"):
        business.gauge("t_taken", "Taken.")
    with pytest.raises(ValueError, match="max_series: 0"):
        business.counter("t_none", "None.", max_series=0)
    with pytest.raises(ValueError, match="non-negative"):
        counter.add(-1)
