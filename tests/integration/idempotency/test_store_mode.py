"""Keys in a store: for handlers whose effect no transaction can undo, so that nobody runs them again by mistake."""

import asyncio
import logging

import pytest
from cryptography.fernet import Fernet
from fastapi import HTTPException
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from fastness.idempotency import Idempotent, MemoryStore, RedisStore, Sealer, StoreError
from fastness.testing import ManualClock

TYPE = "urn:problem-type:fastness:idempotency-"


class Refused(Exception):
    """A refusal of the domain's, before anything was done."""


class Flaky(MemoryStore):
    """A store that is down for some of its methods."""

    def __init__(self, *down, **options):
        super().__init__(**options)
        self.down = set(down)

    async def begin(self, key, **options):
        verdict = await super().begin(key, **options)
        self._fail("begin")
        return verdict

    async def finish(self, key, **options):
        self._fail("finish")
        return await super().finish(key, **options)

    async def extend(self, key, **options):
        self._fail("extend")
        return await super().extend(key, **options)

    async def release(self, key, **options):
        self._fail("release")
        return await super().release(key, **options)

    def _fail(self, method):
        if method in self.down:
            raise StoreError("down")


def stored(**options):
    return Idempotent(mode="store", refusals=[Refused], **options)


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    if request.param == "memory":
        yield MemoryStore()
    else:
        async with Redis.from_url(request.getfixturevalue("redis_url")) as client:
            yield RedisStore(client, time_limit=60)


async def test_one_effect_and_one_answer(bare, store):
    """Of ten at once one is handled, the others are told to wait, and a retry gets the answer."""
    shop, calls = bare(idempotency_store=store), []
    entered, go = asyncio.Event(), asyncio.Event()

    @shop.post(guard=stored())
    async def pay(body: dict[str, str]) -> dict[str, int]:
        calls.append(body)
        entered.set()
        await go.wait()
        return {"payment": len(calls)}

    first = asyncio.create_task(shop.send(key="a"))
    await entered.wait()
    waiting = await asyncio.gather(*(shop.send(key="a") for _ in range(9)))
    assert {(w.status, w.json()["type"], w.headers["retry-after"]) for w in waiting} == {(409, TYPE + "in-flight", "1")}
    assert (await shop.send({"item": "pen"}, key="a")).status == 422
    go.set()
    assert (await first).json() == {"payment": 1}
    again = await shop.send(key="a")
    assert (again.status, again.json(), again.headers["idempotent-replayed"]) == (201, {"payment": 1}, "true")
    assert len(calls) == 1


REFUSALS = [HTTPException(402), Refused(), JSONResponse({}, 402)]
FAILURES = [HTTPException(503), OSError(), JSONResponse({}, 502), StreamingResponse(iter([b"a"]))]


@pytest.mark.parametrize("end", REFUSALS, ids=[type(end).__name__ for end in REFUSALS])
async def test_a_refusal_frees_the_key(bare, store, end):
    """An answer of 4xx, or an error that is known to mean one, says that nothing was done: the next try is a first one."""
    shop, ends = bare(idempotency_store=store), [end]

    @shop.post(guard=stored())
    async def pay():
        if not ends:
            return {}
        last = ends.pop()
        if isinstance(last, Exception):
            raise last
        return last

    assert (await shop.send(key="a")).status >= 400
    assert (await shop.send(key="a")).status == 201


@pytest.mark.parametrize("end", FAILURES, ids=[type(end).__name__ for end in FAILURES])
async def test_a_failure_leaves_the_outcome_unknown(bare, store, end):
    """After anything else nobody knows whether there was an effect: the handler is not run again, and the client is told."""
    shop, calls = bare(idempotency_store=store), []

    @shop.post(guard=stored())
    async def pay():
        calls.append(1)
        if isinstance(end, Exception):
            raise end
        return end

    assert (await shop.send(key="a")).status >= 500
    for _ in range(2):
        unknown = await shop.send(key="a")
        assert (unknown.status, unknown.json()["type"]) == (409, TYPE + "outcome-unknown")
    assert calls == [1]
    assert (await shop.send(key="b")).status >= 500
    assert calls == [1, 1]


async def test_an_answer_that_cannot_be_kept_is_an_error_that_says_why(bare, caplog):
    """Its client is told nothing; whoever reads the log learns what to return instead."""
    shop = bare(idempotency_store=MemoryStore())

    @shop.post(guard=stored())
    async def pay() -> StreamingResponse:
        return StreamingResponse(iter([b"a"]))

    assert (await shop.send(key="a")).status == 500
    (error,) = [record.exc_info[1] for record in caplog.records if record.name == "fastness.problems" and record.exc_info]
    assert "return the whole body" in str(error)


async def test_a_request_that_is_not_valid_frees_the_key(bare, store):
    """A handler that was never called has done nothing."""
    shop = bare(idempotency_store=store)

    @shop.post(guard=stored())
    async def pay(body: dict[str, int]) -> int:
        return 1

    assert (await shop.send({"a": "no number"}, key="a")).status == 422
    assert (await shop.send({"a": 1}, key="a")).status == 201


async def test_a_handler_that_was_cancelled_is_unknown(bare, store):
    """A deadline in the middle of a call leaves its outcome unknown at once, not only when the lease ends."""
    shop, entered = bare(idempotency_store=store), asyncio.Event()

    @shop.post(guard=stored(lease=3600))
    async def pay():
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(shop.send(key="a"))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await shop.send(key="a")).json()["type"] == TYPE + "outcome-unknown"


class Slow(MemoryStore):
    """A store that takes its time for one method: to say what a `begin` came to, or before it carries out a `finish`."""

    def __init__(self, slow):
        super().__init__()
        self.slow = slow
        self.reached, self.answer = asyncio.Event(), asyncio.Event()

    async def begin(self, key, **options):
        verdict = await super().begin(key, **options)
        await self._wait("begin")
        return verdict

    async def finish(self, key, **options):
        await self._wait("finish")
        return await super().finish(key, **options)

    async def _wait(self, method):
        if self.slow == method:
            self.slow = None
            self.reached.set()
            await self.answer.wait()


async def test_a_request_that_was_cancelled_before_its_handler_frees_the_key(bare):
    """A deadline while the store is asked: nothing was done, so a retry is a first try, and not unknown for a day."""
    shop = bare(idempotency_store=(store := Slow("begin")))
    refused = {"http_route": "/v1/orders", "outcome": "unavailable"}

    @shop.post(guard=stored(lease=3600))
    async def pay() -> None: ...

    before = REGISTRY.get_sample_value("fastness_idempotency_requests_total", refused) or 0
    task = asyncio.create_task(shop.send(key="a"))
    await store.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert REGISTRY.get_sample_value("fastness_idempotency_requests_total", refused) == before  # the store was there
    assert (await shop.send(key="a")).status == 201


async def test_an_answer_is_stored_to_the_end(bare):
    """A deadline while the answer is being stored: the effect is there, and a retry gets its answer."""
    shop, calls = bare(idempotency_store=(store := Slow("finish"))), []

    @shop.post(guard=stored(lease=3600))
    async def pay() -> None:
        calls.append(1)

    task = asyncio.create_task(shop.send(key="a"))
    await store.reached.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=0.1)
    store.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await shop.send(key="a")).headers["idempotent-replayed"] == "true"
    assert calls == [1]


async def test_a_long_handler_is_heard_of(bare):
    """While a handler runs its lease is renewed, also after the store was down for a moment."""
    renewed = asyncio.Event()

    class Watched(Flaky):
        renewals = 0

        async def extend(self, key, *, owner, lease):
            self.renewals += 1
            if self.renewals == 2:
                raise StoreError("for a moment")
            if self.renewals == 4:
                renewed.set()
            return await super().extend(key, owner=owner, lease=lease)

    clock = ManualClock()
    shop = bare(idempotency_store=Watched(clock=clock))

    @shop.post(guard=stored(lease=0.03))
    async def pay() -> int:
        await renewed.wait()
        clock.advance(0.02)
        return (await shop.send(key="a")).status

    assert (await shop.send(key="a")).json() == 409
    assert (await shop.send(key="a")).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("down", [["begin"], ["begin", "release"]], ids=repr)
async def test_a_store_that_is_down_refuses(bare, down):
    """Without the store nothing is done (503); a command that came through all the same does not keep the key."""
    store, calls = Flaky(*down), []
    shop = bare(idempotency_store=store)

    @shop.post(guard=stored())
    async def pay() -> None:
        calls.append(1)

    answer = await shop.send(key="a")
    assert (answer.status, answer.json()["type"], answer.headers["retry-after"]) == (503, TYPE + "unavailable", "1")
    assert calls == []
    store.down.clear()
    assert (await shop.send(key="a")).status == (201 if down == ["begin"] else 409)


async def test_an_answer_that_cannot_be_stored_is_given(bare, caplog):
    """When the store goes down during the handler, the client that waits gets its answer, and no retry runs it again."""
    store, calls = Flaky("finish"), []
    shop = bare(idempotency_store=store)

    @shop.post(guard=stored())
    async def pay() -> None:
        calls.append(1)

    with caplog.at_level(logging.ERROR, "fastness.idempotency"):
        assert (await shop.send(key="a")).status == 201
    assert "could not be stored: down" in caplog.text
    assert (await shop.send(key="a")).status == 409
    assert calls == [1]


async def test_without_a_store_it_fails_loudly(bare, caplog):
    """A guard that finds no store says where to give one."""
    shop = bare()

    @shop.post(guard=stored())
    async def pay() -> None: ...

    assert (await shop.send()).status == 500
    assert "idempotency_store" in caplog.text


async def test_a_store_of_its_own(bare):
    """A guard may have a store of its own."""
    shop = bare()

    @shop.post(guard=stored(store=MemoryStore()))
    async def pay() -> None: ...

    assert [(await shop.send(key="a")).headers.get("idempotent-replayed") for _ in range(2)] == [None, "true"]


async def test_an_answer_is_sealed_in_the_store_too(bare, store):
    """It comes back with its key, and is refused without."""
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    shop, calls = bare(idempotency_store=store, idempotency_sealer=Sealer(keys)), []

    @shop.post(guard=stored(seal=True))
    async def pay() -> str:
        calls.append(1)
        return "whsec_x"

    assert [(await shop.send(key="a")).json() for _ in range(2)] == ["whsec_x"] * 2
    shop.state["idempotency_sealer"] = Sealer(keys[1:])
    refused = await shop.send(key="a")
    assert (refused.status, refused.json()["type"]) == (503, TYPE + "answer-unreadable")
    assert calls == [1]
