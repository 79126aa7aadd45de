"""The drain, without a server: what each signal does, and how streams end."""

import asyncio
import functools
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from tests.conftest import turn

from fastness.lifespan import Drain
from fastness.lifespan.drain import _current_drain
from fastness.testing import ManualClock, capture_logs


class Server:
    """Stands for a server: it writes down the signals that reach its handler."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def handle(self, number: int, frame: object) -> None:
        self.signals.append(number)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with its handlers set, as uvicorn sets them before the lifespan starts."""
    made = Server()
    before = {number: signal.signal(number, made.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_first_sigterm_drains_and_waits(server: Server) -> None:
    """On SIGTERM the service is draining at once, while streams and server go on."""
    async with Drain(delay=60) as drain:
        assert not drain.draining
        signal.raise_signal(signal.SIGTERM)
        assert drain.draining
        await turn()
        assert not drain.closing.is_set()
        assert server.signals == []


async def test_server_is_called_when_the_delay_is_over(server: Server) -> None:
    """After the delay streams are told to end and the server's handler gets the SIGTERM."""
    async with Drain(delay=0.01) as drain:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(drain.closing.wait(), 60)
        assert server.signals == [signal.SIGTERM]


async def test_without_delay_the_server_is_called_at_once(server: Server) -> None:
    """A delay of 0 leaves nothing between the signal and the server."""
    async with Drain(delay=0) as drain:
        signal.raise_signal(signal.SIGTERM)
        assert server.signals == [signal.SIGTERM]
        await turn()
        assert drain.draining
        assert drain.closing.is_set()


async def test_ctrl_c_does_not_wait(server: Server) -> None:
    """SIGINT comes from a person: streams end and the server shuts down without the delay."""
    async with Drain(delay=60) as drain:
        signal.raise_signal(signal.SIGINT)
        await turn()
        assert server.signals == [signal.SIGINT]
        assert drain.closing.is_set()


async def test_each_further_signal_goes_one_step_further(server: Server) -> None:
    """The second SIGTERM ends the delay; the third reaches the server as SIGINT, which makes it drop what is in flight."""
    clock = ManualClock()
    async with Drain(delay=60, clock=clock) as drain:
        signal.raise_signal(signal.SIGTERM)
        clock.advance(2)
        signal.raise_signal(signal.SIGTERM)
        await turn()
        assert server.signals == [signal.SIGTERM]
        assert drain.closing.is_set()
        clock.advance(2)
        signal.raise_signal(signal.SIGTERM)
        assert server.signals == [signal.SIGTERM, signal.SIGINT]


async def test_same_sigterm_told_twice_counts_once(server: Server) -> None:
    """A worker that is signalled by its process group and by its parent drains once."""
    clock = ManualClock()
    async with Drain(delay=60, clock=clock):
        signal.raise_signal(signal.SIGTERM)
        clock.advance(0.5)
        signal.raise_signal(signal.SIGTERM)
        assert server.signals == []
        signal.raise_signal(signal.SIGINT)
        clock.advance(0.5)
        signal.raise_signal(signal.SIGTERM)
        assert server.signals == [signal.SIGINT]


async def test_handlers_are_put_back(server: Server) -> None:
    """After the lifespan the server has its own handlers again."""
    async with Drain():
        assert signal.getsignal(signal.SIGTERM) != server.handle
    assert signal.getsignal(signal.SIGTERM) == server.handle
    assert signal.getsignal(signal.SIGINT) == server.handle


async def test_handler_set_later_stays_and_is_passed_on_to_the_server(server: Server) -> None:
    """Whoever wrapped the drain's handler keeps theirs, and signals still reach the server through it."""
    async with Drain(delay=60):
        ours: Any = signal.getsignal(signal.SIGTERM)
        theirs = functools.partial(ours)
        signal.signal(signal.SIGTERM, theirs)
    assert signal.getsignal(signal.SIGTERM) is theirs
    signal.raise_signal(signal.SIGTERM)
    assert server.signals == [signal.SIGTERM]


async def test_a_server_that_hears_signals_in_its_loop_is_not_waited_for() -> None:
    """It stops at once whoever else handles the signal, so streams end at once too; a warning says that no delay is kept."""
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    try:
        with capture_logs("fastness.lifespan") as logs:
            async with Drain(delay=3600) as drain:
                signal.raise_signal(signal.SIGTERM)
                async with asyncio.timeout(60):
                    await drain.closing.wait()
                    await heard.wait()
                assert drain.draining
        assert ["cannot be kept" in message for message in logs.messages] == [True]
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_outside_of_the_main_thread_nothing_is_set(server: Server) -> None:
    """In a thread no handler is touched, and the drain can still be begun by hand."""

    async def in_thread() -> None:
        async with Drain(delay=0.01) as drain:
            assert signal.getsignal(signal.SIGTERM) == server.handle
            drain.begin()
            await asyncio.wait_for(drain.closing.wait(), 60)

    await asyncio.to_thread(asyncio.run, in_thread())
    assert server.signals == []


async def test_begin_does_what_sigterm_does_once(server: Server) -> None:
    """`begin` drains and then calls the server; again, or outside of the lifespan, it does nothing."""
    drain = Drain(delay=0.01)
    drain.begin()
    assert not drain.draining
    async with drain:
        drain.begin()
        drain.begin()
        assert drain.draining
        await asyncio.wait_for(drain.closing.wait(), 60)
        assert server.signals == [signal.SIGTERM]


async def test_drain_can_be_entered_again(server: Server) -> None:
    """A second lifespan starts afresh, as tests that start one app many times need."""
    drain = Drain(delay=0)
    for _ in range(2):
        async with drain:
            assert not drain.draining
            assert not drain.closing.is_set()
            signal.raise_signal(signal.SIGINT)
            await turn()
            assert drain.closing.is_set()


async def test_stream_ends_while_its_source_waits(server: Server) -> None:
    """A stream whose source has nothing to say ends when the drain closes, and the source's clean-up runs."""
    events: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            events.append("cleaned up")

    async with Drain(delay=0) as drain:
        stream = drain.until(source())
        assert await anext(stream) == 1
        waiting = asyncio.create_task(anext(stream, "end"))
        await turn()
        assert not waiting.done()
        signal.raise_signal(signal.SIGINT)
        assert await asyncio.wait_for(waiting, 60) == "end"
        assert events == ["cleaned up"]
        assert [item async for item in drain.until(source())] == []


async def test_streams_say_goodbye_before_the_server_is_told(server: Server) -> None:
    """A server may cut connections as soon as it is told to end, so it is told once streams had a moment to end well."""
    said: list[int] = []

    async def connection(drain: Drain) -> None:
        async for _ in drain.until(source()):
            pass
        said.extend(server.signals)
        told.set()

    async def source() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    told = asyncio.Event()
    async with Drain(delay=0.01) as drain:
        task = asyncio.create_task(connection(drain))
        await turn()
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await told.wait()
            assert said == []
            while not server.signals:  # noqa: ASYNC110 - the handler tells nobody
                await asyncio.sleep(0.01)
        assert server.signals == [signal.SIGTERM]
        await task


async def test_stream_passes_everything_on_otherwise() -> None:
    """Items, the end, and errors of the source, a TimeoutError too, come through unchanged."""

    async def source(error: Exception | None) -> AsyncIterator[int]:
        yield 1
        yield 2
        if error is not None:
            raise error

    async with Drain(delay=0) as drain:
        assert [item async for item in drain.until(source(None))] == [1, 2]
        with pytest.raises(TimeoutError, match="of the source"):
            _ = [item async for item in drain.until(source(TimeoutError("of the source")))]


async def test_cancelled_stream_stays_cancelled() -> None:
    """A client that hangs up cancels the stream as without a drain."""

    async def source() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    async with Drain(delay=0) as drain:
        waiting = asyncio.create_task(anext(drain.until(source())))
        await turn()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_drain_left_ends_its_streams() -> None:
    """Streams that are open when the lifespan ends are told to end."""
    drain = Drain(delay=60)
    async with drain:
        pass
    assert drain.closing.is_set()


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_drain_refuses_a_delay_that_is_none(delay: float) -> None:
    """A delay is a number of seconds from 0 up."""
    with pytest.raises(ValueError, match="delay="):
        Drain(delay=delay)


async def test_current_drain_says_what_is_missing() -> None:
    """An endpoint that asks for the drain of a service without one learns how to give it one."""
    drain = Drain()
    connection = HTTPConnection({"type": "http", "headers": [], "state": {"drain": drain}})
    assert await _current_drain(connection) is drain
    with pytest.raises(RuntimeError, match=r"Resources\(drain="):
        await _current_drain(HTTPConnection({"type": "http", "headers": [], "state": {}}))


async def test_stream_closes_a_source_that_is_not_waiting() -> None:
    """A source that stands between two items is closed too, with its clean-up, when the stream ends."""
    events: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            events.append("cleaned up")

    kept = source()  # so that no garbage collector does it
    async with Drain(delay=0) as drain:
        stream = drain.until(kept)
        assert await anext(stream) == 1
    assert [item async for item in stream] == []
    assert events == ["cleaned up"]
