"""Resources, without a server: order, time limits, failures."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastness.lifespan import CloseError, Drain, Managed, Resources, StartupError
from fastness.lifespan.resources import _reason, _Told


class Probe:
    """A resource that writes down what happens to it, and fails as told."""

    def __init__(
        self, name: str, log: list[str], *, open_: BaseException | None = None, close: BaseException | None = None
    ) -> None:
        self.name = name
        self._log = log
        self._open = open_
        self._close = close

    async def open(self) -> None:
        self._log.append(f"open {self.name}")
        if self._open is not None:
            raise self._open

    async def close(self) -> None:
        self._log.append(f"close {self.name}")
        if self._close is not None:
            raise self._close

    async def check(self) -> None:
        self._log.append(f"check {self.name}")


class Stuck(Probe):
    """A resource that never finishes to open, or to close; `reached` tells when it got there."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name, log)
        self.reached = asyncio.Event()

    async def open(self) -> None:
        await super().open()
        if self.name == "stuck-open":
            await self._hang()

    async def close(self) -> None:
        await super().close()
        if self.name == "stuck-close":
            await self._hang()

    async def _hang(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


async def test_resources_open_in_order_and_close_in_reverse() -> None:
    """The first to open is the last to close."""
    log: list[str] = []
    async with Resources([Probe("a", log), Probe("b", log), Probe("c", log)]).lifespan():
        assert log == ["open a", "open b", "open c"]
    assert log[3:] == ["close c", "close b", "close a"]


async def test_failed_start_closes_what_was_open() -> None:
    """When a resource does not open, those before it close in reverse, and neither it nor those after it do."""
    log: list[str] = []
    resources = Resources([Probe("a", log), Probe("b", log), Probe("c", log, open_=OSError("no route")), Probe("d", log)])
    with pytest.raises(StartupError) as caught:
        async with resources.lifespan():
            pytest.fail("started")
    assert log == ["open a", "open b", "open c", "close b", "close a"]
    assert caught.value.resource == "c"
    assert not resources.started


async def test_start_up_error_is_one_line_that_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """The error names the resource, the reason and the hint, on one line, once in the log and without a traceback."""
    resource = Probe("database", [], open_=OSError("connection\n\trefused"))
    resource.hint = "Set DATABASE_URL."  # type: ignore[attr-defined]
    with caplog.at_level(logging.INFO), pytest.raises(StartupError) as caught:
        async with Resources([resource]).lifespan():
            pass
    assert str(caught.value) == "resource 'database' did not open: OSError: connection refused. Set DATABASE_URL."
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    (record,) = caplog.records
    assert record.getMessage() == str(caught.value)
    assert record.exc_info is None


async def test_bug_in_open_keeps_its_traceback() -> None:
    """An error of the code, not of the environment, is the cause of the start-up error."""
    with pytest.raises(StartupError) as caught:
        async with Resources([Probe("a", [], open_=TypeError("bad argument"))]).lifespan():
            pass
    assert isinstance(caught.value.__cause__, TypeError)


def test_uvicorn_traceback_of_a_told_error_is_dropped() -> None:
    """The filter drops what is logged while a told start-up error is handled, and nothing else."""
    record = logging.makeLogRecord({"msg": "Traceback"})
    assert _Told().filter(record)
    for error, kept in ((StartupError("a", "told"), False), (OSError("other"), True)):
        try:
            raise error
        except Exception:
            assert _Told().filter(record) is kept
    try:
        raise StartupError("a", "bug") from TypeError()
    except StartupError:
        assert _Told().filter(record)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach postgresql://app:hunter2@db/app", "cannot reach postgresql://***db/app"),
        ("cannot reach redis://:p@ss/word@cache:6379", "cannot reach redis://***cache:6379"),
        ("host=db password=hunter2 user=app", "host=db password=*** user=app"),
    ],
)
def test_reason_hides_credentials(text: str, shown: str) -> None:
    """Credentials that a driver quotes do not reach the log."""
    assert _reason(OSError(text)) == f"OSError: {shown}"


def test_reason_is_short_and_names_the_leaf_of_a_group() -> None:
    """A group says nothing by itself, and a message may be long."""
    assert _reason(ExceptionGroup("tasks", [ExceptionGroup("inner", [ValueError("why")])])) == "ValueError: why"
    assert len(_reason(OSError("x" * 10_000))) <= 300


async def test_slow_open_is_given_up() -> None:
    """Opening is bounded in time, and the error names the resource and the bound."""
    log: list[str] = []
    with pytest.raises(StartupError, match=r"'stuck-open' did not open: not within 0\.01 s"):
        async with Resources([Probe("a", log), Stuck("stuck-open", log)], open_timeout=0.01).lifespan():
            pass
    assert log[-1] == "close a"


async def test_slow_close_is_given_up_and_the_others_close() -> None:
    """Closing is bounded in time for each resource, so that one cannot keep the others open."""
    log: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        async with Resources([Probe("a", log), Stuck("stuck-close", log)], close_timeout=0.01).lifespan():
            pass
    assert log[-1] == "close a"
    (failure,) = caught.value.exceptions
    assert str(failure) == "resource 'stuck-close' did not close: not within 0.01 s"


async def test_errors_while_closing_are_grouped(caplog: pytest.LogCaptureFixture) -> None:
    """Every resource gets its turn to close, and all failures are told together and logged one by one."""
    log: list[str] = []
    first, second = RuntimeError("one"), RuntimeError("two")
    with pytest.raises(ExceptionGroup) as caught:
        async with Resources([Probe("a", log, close=first), Probe("b", log), Probe("c", log, close=second)]).lifespan():
            pass
    assert log[-3:] == ["close c", "close b", "close a"]
    failures = caught.value.exceptions
    assert [failure.resource for failure in failures if isinstance(failure, CloseError)] == ["c", "a"]
    assert [failure.__cause__ for failure in failures] == [second, first]
    assert [record.levelname for record in caplog.records].count("ERROR") == 2


async def test_error_of_the_body_is_not_hidden_by_one_while_closing() -> None:
    """What ended the service stays the error; what went wrong after it is noted on it."""
    with pytest.raises(LookupError, match="body") as caught:
        async with Resources([Probe("a", [], close=RuntimeError("late"))]).lifespan():
            raise LookupError("body")
    assert caught.value.__notes__ == ["then resource 'a' did not close: RuntimeError: late"]


async def test_cancelled_start_closes_what_was_open() -> None:
    """A start that is cancelled closes what it had opened and stays cancelled."""
    log: list[str] = []
    stuck = Stuck("stuck-open", log)
    resources = Resources([Probe("a", log), stuck])

    async def serve() -> None:
        async with resources.lifespan():
            pytest.fail("started")

    task = asyncio.create_task(serve())
    await stuck.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log[-1] == "close a"


async def test_cancelled_close_goes_on_with_the_next() -> None:
    """A cancellation that hits a closing resource does not keep the others open."""
    log: list[str] = []
    stuck = Stuck("stuck-close", log)

    async def serve() -> None:
        async with Resources([Probe("a", log), stuck]).lifespan():
            pass

    task = asyncio.create_task(serve())
    await stuck.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log[-1] == "close a"


async def test_started_tells_when_all_is_open() -> None:
    """`started` is false before, true within and false after the lifespan, each time it runs."""
    resources = Resources([Probe("a", [])])
    assert not resources.started
    for _ in range(2):
        async with resources.lifespan():
            assert resources.started
        assert not resources.started


async def test_lifespan_state_has_resources_managed_values_drain_and_more() -> None:
    """The state names each resource, the value of a managed one, the drain, and what the service adds."""

    @asynccontextmanager
    async def client() -> AsyncIterator[str]:
        yield "a client"

    plain, drain = Probe("plain", []), Drain(delay=0)
    resources = Resources([plain, Managed("http", client)], drain=drain, state={"infra": 1})
    async with resources.lifespan() as state:
        assert state == {"plain": plain, "http": "a client", "drain": drain, "infra": 1}


async def test_managed_opens_a_new_context_manager_each_time() -> None:
    """A factory makes a resource that can be opened again; its value is there only while it is open."""
    made: list[int] = []

    @asynccontextmanager
    async def client() -> AsyncIterator[int]:
        made.append(len(made))
        yield made[-1]
        made.append(-1)

    managed = Managed("http", client)
    for number in (0, 2):
        async with Resources([managed]).lifespan():
            assert managed.value == number
        assert made[-1] == -1
        with pytest.raises(RuntimeError, match="'http' is not open"):
            _ = managed.value


async def test_managed_takes_a_context_manager_itself() -> None:
    """A context manager that exists already is entered and left."""

    @asynccontextmanager
    async def client() -> AsyncIterator[str]:
        yield "once"

    async with Resources([Managed("http", client())]).lifespan() as state:
        assert state["http"] == "once"


async def test_managed_checks_its_value() -> None:
    """The declared check gets the value; an open resource without one is ready, a closed one is not."""
    checked: list[str] = []

    @asynccontextmanager
    async def client() -> AsyncIterator[str]:
        yield "value"

    async def check(value: str) -> None:
        checked.append(value)

    with_check, without = Managed("a", client, check=check), Managed("b", client)
    async with Resources([with_check, without]).lifespan():
        await with_check.check()
        await without.check()
    assert checked == ["value"]
    with pytest.raises(RuntimeError):
        await without.check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"open_timeout": 0}, "open_timeout=0"),
        ({"close_timeout": float("nan")}, "close_timeout=nan"),
        ({"state": {"a": 1}}, "'a'"),
    ],
)
def test_resources_refuse_bad_arguments(options: dict[str, Any], said: str) -> None:
    """A clash of names or a useless time limit is refused at construction, by name."""
    with pytest.raises(ValueError, match=said):
        Resources([Probe("a", [])], **options)


def test_resources_refuse_names_that_are_repeated_empty_or_the_drain() -> None:
    """Each resource has a name of its own."""
    for names, drain in ((["a", "a"], None), ([""], None), (["drain"], Drain())):
        with pytest.raises(ValueError, match="empty or taken"):
            Resources([Probe(name, []) for name in names], drain=drain)
