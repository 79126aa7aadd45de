"""Readiness without HTTP: who is asked, how often, for how long, and what is told."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from tests.conftest import turn

from fastness import health
from fastness._asgi import PROBES
from fastness.health import Readiness
from fastness.testing import ManualClock


class Dependency:
    """Something to check: answers, fails, or hangs until released."""

    def __init__(self, name: str = "database", *, error: Exception | None = None, answer: object = None) -> None:
        self.name = name
        self.error = error
        self.answer = answer
        self.asked = 0
        self.hang: asyncio.Event | None = None
        self.stubborn = False

    async def check(self) -> object:
        self.asked += 1
        while self.hang is not None and not self.hang.is_set():
            try:
                await self.hang.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
        if self.error is not None:
            raise self.error
        return self.answer


async def test_all_checks_passing_is_ready() -> None:
    """A service is ready when everything that it needs can be used; without checks it is."""
    report = await Readiness([Dependency("a"), Dependency("b")]).report()
    assert report.ready
    assert report.states == {"a": "ok", "b": "ok"}
    assert (await Readiness([]).report()).ready


@pytest.mark.parametrize("failing", [{"error": OSError("down")}, {"answer": False}])
async def test_a_failing_check_makes_the_service_unready(failing: dict[str, Any]) -> None:
    """A check fails by raising or by answering False; anything else it answers is fine."""
    report = await Readiness([Dependency("a", answer=0), Dependency("b", **failing)]).report()
    assert not report.ready
    assert report.states == {"a": "ok", "b": "failing"}


async def test_an_optional_failure_is_told_but_leaves_the_service_ready() -> None:
    """What the service can do without does not take it out of the balancer."""
    report = await Readiness([Dependency("cache", error=OSError())], optional={"cache"}).report()
    assert report.ready
    assert report.states == {"cache": "failing"}


async def test_a_cancelled_check_fails() -> None:
    """A check that is cancelled from elsewhere has not shown that the resource works."""

    class Cancelled(Dependency):
        async def check(self) -> object:
            raise asyncio.CancelledError

    assert (await Readiness([Cancelled()]).report()).states == {"database": "failing"}


async def test_checks_run_side_by_side() -> None:
    """One slow check does not delay the others: they are all asked before any has answered."""
    checks = [Dependency("a"), Dependency("b")]
    for check in checks:
        check.hang = asyncio.Event()
    task = asyncio.create_task(Readiness(checks).report())
    await turn()
    assert [check.asked for check in checks] == [1, 1]
    for check in checks:
        check.hang.set()  # type: ignore[union-attr]
    assert (await task).ready


async def test_a_check_that_takes_too_long_is_a_timeout() -> None:
    """A check without an answer in time counts as failed; the others keep their answers."""
    slow = Dependency("slow")
    slow.hang = asyncio.Event()
    report = await Readiness([Dependency("fast"), slow], check_timeout=0.01).report()
    assert report.states == {"fast": "ok", "slow": "timeout"}
    assert not report.ready


async def test_a_check_that_cannot_be_cancelled_is_not_started_again() -> None:
    """An attempt that outlives its time is waited for again, so that attempts do not pile up; then it is asked anew."""
    stuck = Dependency()
    stuck.hang, stuck.stubborn = asyncio.Event(), True
    readiness = Readiness([stuck], check_timeout=0.01, cache_for=0)
    for _ in range(2):
        assert (await readiness.report()).states == {"database": "timeout"}
    assert stuck.asked == 1
    stuck.hang.set()
    await turn()
    assert (await readiness.report()).ready
    assert stuck.asked == 2


async def test_a_report_is_reused_while_it_is_fresh() -> None:
    """Good and bad reports alike are reused for `cache_for` seconds, and not longer."""
    clock = ManualClock()
    for error in (None, OSError()):
        dependency = Dependency(error=error)
        readiness = Readiness([dependency], cache_for=1.0, clock=clock)
        await readiness.report()
        clock.advance(0.9)
        await readiness.report()
        assert dependency.asked == 1
        clock.advance(0.1)
        await readiness.report()
        assert dependency.asked == 2


async def test_probes_at_the_same_time_share_one_run() -> None:
    """However many ask at once, each resource is asked once, even when the first who asked hangs up."""
    dependency = Dependency()
    dependency.hang = asyncio.Event()
    readiness = Readiness([dependency], cache_for=0)
    first, *others = [asyncio.create_task(readiness.report()) for _ in range(50)]
    await turn()
    first.cancel()
    await turn()
    dependency.hang.set()
    assert all(report.ready for report in await asyncio.gather(*others))
    assert dependency.asked == 1


def test_a_new_event_loop_is_no_obstacle() -> None:
    """A run left behind by a loop that is gone is not waited for."""
    stuck = Dependency()
    readiness = Readiness([stuck])

    async def abandon() -> None:
        stuck.hang = asyncio.Event()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(readiness.report(), 0.01)

    asyncio.run(abandon())
    stuck.hang = None
    assert asyncio.run(readiness.report()).ready


async def test_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log has a line when a resource begins to fail, with the error, and one when it is well again, and no more."""
    dependency = Dependency(error=OSError("down"))
    readiness = Readiness([dependency], cache_for=0)
    with caplog.at_level(logging.INFO, "fastness.health"):
        await readiness.report()
        await readiness.report()
        dependency.error = None
        await readiness.report()
        await readiness.report()
    assert [record.getMessage() for record in caplog.records] == [
        "readiness: database is failing",
        "readiness: database is ok again",
    ]
    first = caplog.records[0].exc_info
    assert first is not None
    assert isinstance(first[1], OSError)


async def test_readiness_is_a_gauge() -> None:
    """The gauge of a resource follows its check."""
    dependency = Dependency("gauge-test", error=OSError())
    readiness = Readiness([dependency], cache_for=0)
    labels = {"resource": "gauge-test"}
    await readiness.report()
    assert REGISTRY.get_sample_value("fastness_health_ready", labels) == 0
    dependency.error = None
    await readiness.report()
    assert REGISTRY.get_sample_value("fastness_health_ready", labels) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optional": {"cahce"}}, "optional='cahce'"),
        ({"check_timeout": 0}, "check_timeout=0"),
        ({"check_timeout": float("inf")}, "check_timeout=inf"),
        ({"cache_for": -1}, "cache_for=-1"),
        ({"cache_for": float("nan")}, "cache_for=nan"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], said: str) -> None:
    """A misspelt name or a number of seconds out of range is refused at construction."""
    with pytest.raises(ValueError, match=said):
        Readiness([Dependency()], **options)


def test_two_checks_of_one_name_are_refused() -> None:
    """Names tell checks apart, conditions included."""
    with pytest.raises(ValueError, match="'database'"):
        health.router([Dependency()], conditions={"database": Dependency().check})


def test_paths_are_the_probes_and_the_version() -> None:
    """What other layers leave alone is exactly what the router serves."""
    assert health.PATHS >= PROBES
    assert {getattr(route, "path", None) for route in health.router().routes} == health.PATHS


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(st.booleans(), st.booleans()), max_size=5))
def test_ready_means_that_nothing_needed_fails(outcomes: dict[str, tuple[bool, bool]]) -> None:
    """For any mix of checks, the service is ready exactly when none that it needs fails."""
    checks = [Dependency(name, answer=passes) for name, (passes, _) in outcomes.items()]
    optional = {name for name, (_, spare) in outcomes.items() if spare}
    report = asyncio.run(Readiness(checks, optional=optional).report())
    assert report.ready == all(passes or spare for passes, spare in outcomes.values())
    assert report.states == {name: "ok" if passes else "failing" for name, (passes, _) in outcomes.items()}
