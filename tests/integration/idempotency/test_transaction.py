"""The answer and the effect in one transaction, on both databases: both or neither, once, and faults that are loud."""

import asyncio
from typing import Annotated

import pytest
from cryptography.fernet import Fernet
from fastapi import BackgroundTasks, Body, Depends, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError

from fastness.database import CurrentUnit
from fastness.idempotency import Idempotent, Sealer, records
from fastness.problems import Problem

TYPE = "urn:problem-type:fastness:idempotency-"


@pytest.fixture
def plain(shop):
    """The shop's one endpoint, as a service would write it."""

    @shop.post()
    async def create(body: dict[str, str], uow: CurrentUnit, response: Response) -> dict[str, int]:
        number = await shop.place(uow, body["item"])
        response.headers["Location"] = f"/v1/orders/{number}"
        response.set_cookie("seen", "yes")
        return {"id": number}

    return shop


def raised(shop, caplog):
    """The error behind the last 500, which tells its client nothing."""
    (error,) = [record.exc_info[1] for record in caplog.records if record.name == "fastness.problems" and record.exc_info]
    caplog.clear()
    return error


async def test_a_retry_gets_the_same_answer(plain, orders):
    """The first request has its effect; the same one again has none, gets the same answer, and is told so."""
    first = await plain.send(key="a")
    assert (first.status, first.json(), "idempotent-replayed" in first.headers) == (201, {"id": 1}, False)
    assert "set-cookie" in first.headers
    for key in ("a", '"a"'):
        again = await plain.send(key=key)
        assert (again.status, again.body, again.headers["idempotent-replayed"]) == (201, first.body, "true")
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["content-type"] == "application/json"
        assert "set-cookie" not in again.headers
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await orders() == 1


async def test_ten_at_once_make_one_order(plain, orders):
    """Of ten requests with one key at once one has its effect; the others wait and get its answer, or are told to wait."""
    answers = await asyncio.gather(*(plain.send(key="a") for _ in range(10)))
    assert await orders() == 1
    for answer in answers:
        if answer.status == 409:
            assert (answer.json()["type"], answer.headers["retry-after"]) == (TYPE + "in-flight", "1")
        else:
            assert (answer.status, answer.json()) == (201, {"id": 1})
    assert [a.status for a in answers if a.status == 201 and "idempotent-replayed" not in a.headers] == [201]
    assert (await plain.send(key="a")).json() == {"id": 1}


async def test_another_request_with_the_key_is_refused(shop, orders):
    """A body, a query or a path that differs is another request, and has no effect."""

    @shop.post("/{customer}")
    async def create(customer: int, body: dict[str, str], uow: CurrentUnit) -> int:
        return await shop.place(uow, body["item"])

    same = {"path": "/1", "query": "a=1", "key": "a"}
    assert (await shop.send(**same)).status == 201
    assert (await shop.send(**same)).status == 201
    for change in ({"body": {"item": "pen"}}, {"query": "a=2"}, {"path": "/2"}):
        refused = await shop.send(**{**same, **change})
        assert (refused.status, refused.json()["type"]) == (422, TYPE + "key-reused")
    assert await orders() == 1


@pytest.mark.parametrize(("key", "kind"), [("", "missing"), ("é", "invalid"), ("x" * 256, "invalid")])
async def test_a_key_that_is_missing_or_none(plain, orders, key, kind):
    """A request without a key, or with something that is none, is refused before it has an effect."""
    answer = await plain.send(key=key)
    assert (answer.status, answer.json()["type"]) == (400, f"{TYPE}key-{kind}")
    assert await orders() == 0


async def test_a_key_that_is_not_required(shop, orders):
    """Where no key is required, requests without one are handled each time, and stored none."""

    @shop.post(guard=Idempotent(required=False))
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    assert [(await shop.send(key="")).json() for _ in range(2)] == [1, 2]
    assert [(await shop.send(key="a")).json() for _ in range(2)] == [3, 3]


async def test_each_caller_has_keys_of_its_own(shop, orders):
    """Nobody gets another's answer: neither another tenant, nor another principal, nor somebody without a name."""

    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    callers = ["user=a&tenant=t", "user=b&tenant=t", "user=a&tenant=u", "user=a", "", "tenant=t"]
    # The query is part of the fingerprint: who got another's answer would get a 422 here.
    assert [(await shop.send(key="a", query=caller)).status for caller in callers] == [201] * len(callers)
    assert await orders() == len(callers)


async def test_a_tenants_keys_can_be_shared(shop, orders):
    """With `by="tenant"` another principal of the tenant may retry; without a tenant, keys are the principal's."""

    @shop.post(guard=Idempotent(by="tenant"))
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    async def send(user, tenant):
        return (await shop.send(key="a", query=f"user={user}" + (f"&tenant={tenant}" if tenant else ""))).status

    assert await send("a", "t") == 201
    assert await send("b", "t") == 422  # known, and the query differs
    assert await send("a", "u") == 201
    assert [await send("a", ""), await send("b", "")] == [201, 201]


async def test_keys_belong_to_a_route(shop, orders):
    """One key on two routes is two keys."""
    for path in ("/a", "/b"):

        @shop.post(path)
        async def create(uow: CurrentUnit) -> int:
            return await shop.place(uow, "book")

    assert [(await shop.send(path=path, key="a")).json() for path in ("/a", "/b", "/a")] == [1, 2, 1]


@pytest.mark.parametrize("how", ["returned", "raised", "problem", "domain", "validation", "unhandled", "late"])
async def test_an_error_leaves_nothing(shop, orders, how):
    """An answer of 400 and above, however it comes about, undoes the effect, and the next try is a first one."""
    failing = [True]

    @shop.post()
    async def create(uow: CurrentUnit, body: Annotated[dict[str, str], Body()], response: Response) -> dict[str, int]:
        number = await shop.place(uow, body["item"])
        if failing:
            match how:
                case "returned":
                    return JSONResponse({"error": "no"}, 409)
                case "raised":
                    raise HTTPException(409)
                case "problem":
                    raise Problem(409)
                case "domain":
                    raise KeyError("no such thing")
                case "unhandled":
                    raise OSError
                case "late":
                    return {"id": "no number"}
        return {"id": number}

    statuses = {"validation": 422, "domain": 404, "unhandled": 500, "late": 500}
    body = {"item": 1} if how == "validation" else None
    assert (await shop.send(body, key="a")).status == statuses.get(how, 409)
    assert await orders() == 0
    failing.clear()
    retried = await shop.send(key="a")
    assert (retried.status, "idempotent-replayed" in retried.headers) == (201, False)
    assert await orders() == 1


async def test_an_error_that_the_service_caught_keeps_its_answer(shop, orders):
    """A unit that can no longer commit does not turn a refusal into a 500; a success would be a lie, and is one."""

    @shop.post()
    async def create(uow: CurrentUnit, body: dict[str, str]) -> dict[str, int]:
        try:
            async with uow:
                number = await shop.place(uow, body["item"])
                await uow.session.execute(text(f"INSERT INTO orders (id, item) VALUES ({number}, 'same number')"))
        except IntegrityError:
            if body["item"] == "book":
                raise HTTPException(409, "taken") from None
        return {}

    refused = await shop.send({"item": "book"})
    assert (refused.status, refused.json()["detail"]) == (409, "taken")
    assert (await shop.send({"item": "pen"})).status == 500
    assert await orders() == 0


async def test_what_only_the_commit_refuses_is_an_error(shop, orders, database, caplog):
    """A constraint that the database looks at in the end: nothing is stored, and neither is an answer."""
    parts = "CREATE TABLE parts (whole integer REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"
    async with database.unit() as uow:
        await uow.session.execute(text(parts))

    @shop.post()
    async def create(uow: CurrentUnit, body: dict[str, str]) -> int:
        async with uow:
            number = await shop.place(uow, "book")
            await uow.session.execute(text(f"INSERT INTO parts VALUES ({number if body['of'] == 'this' else 0})"))
            return number

    assert (await shop.send({"of": "none"}, key="a")).status == 500
    assert isinstance(raised(shop, caplog), IntegrityError)
    assert await orders() == 0
    assert (await shop.send({"of": "this"}, key="a")).status == 201
    assert await orders() == 1


async def test_an_answer_expires(shop, orders, database):
    """A key counts as new when its answer has expired, whether or not it was pruned, and is stored again."""
    now = [1000.0]

    @shop.post(guard=Idempotent(keep=60, clock=lambda: now[0]))
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    assert [(await shop.send(key="a")).json() for _ in range(2)] == [1, 1]
    now[0] += 60
    assert [(await shop.send(key="a")).json() for _ in range(2)] == [2, 2]


async def test_pruning(shop, database):
    """Expired answers are deleted batch by batch; the others stay."""
    now = [1000.0]

    @shop.post(guard=Idempotent(keep=60, clock=lambda: now[0]))
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    for _ in range(5):
        await shop.send()
    now[0] += 59
    await shop.send(key="late")
    uow = database.unit()
    assert await records.prune(uow, batch=2, clock=lambda: now[0]) == 0
    now[0] += 1
    assert await records.prune(uow, batch=2, clock=lambda: now[0]) == 5
    assert await records.prune(uow, batch=2, clock=lambda: now[0]) == 0
    assert "idempotent-replayed" in (await shop.send(key="late")).headers
    with pytest.raises(ValueError, match="batch=0"):
        await records.prune(uow, batch=0)


async def test_who_commits_second_is_undone_and_gets_the_answer(plain, orders, monkeypatch):
    """A request whose look came just before another's commit has no effect: the record is there when it wants to write."""
    assert (await plain.send(key="a")).status == 201

    seen, blind = records.seen, records.Seen(free=True, found=None, expired=False)
    looks = []

    def first_blind(rows):
        looks.append(rows)
        return blind if len(looks) % 2 else seen(rows)

    monkeypatch.setattr(records, "seen", first_blind)
    second = await plain.send(key="a")
    assert (second.status, second.json(), second.headers["idempotent-replayed"]) == (201, {"id": 1}, "true")
    assert (await plain.send({"item": "pen"}, key="a")).status == 422
    assert await orders() == 1


async def test_a_constraint_of_the_service_is_its_own_error(shop, orders):
    """Broken by what is written with the commit, it is no other request's answer, and the retry is a first try."""
    numbers = [1, 1, 2]

    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        async with uow:
            pass
        uow.session.add(shop.order(id=numbers[0], item="book"))
        return numbers.pop(0)

    assert [(await shop.send(key=key)).status for key in "abbb"] == [201, 500, 201, 201]
    assert await orders() == 2


async def test_background_tasks_run_once(shop):
    """What follows the answer belongs to the first execution."""
    ran = []

    @shop.post()
    async def create(uow: CurrentUnit, tasks: BackgroundTasks) -> int:
        tasks.add_task(ran.append, uow.open)
        return await shop.place(uow, "book")

    assert [(await shop.send(key="a")).status for _ in range(2)] == [201, 201]
    assert len(ran) == 1


async def test_on_commit_follows_the_commit(shop):
    """What a service wants to happen after its commit happens after the outer one, and not in a replay."""
    committed = []

    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        async with uow:
            uow.on_commit(lambda: committed.append(uow.open))
            number = await shop.place(uow, "book")
        assert not committed
        return number

    assert [(await shop.send(key="a")).status for _ in range(2)] == [201, 201]
    assert committed == [False]


async def test_a_form_counts_by_its_parts(shop, orders):
    """A retried upload has another boundary; it is the same request, unless a field or a file differs."""

    @shop.post()
    async def create(uow: CurrentUnit, name: Annotated[str, Form()], photo: Annotated[UploadFile, File()]) -> int:
        assert await photo.read() == b"pixels"
        return await shop.place(uow, name)

    def upload(boundary, name="book", content="pixels"):
        part = f"--{boundary}\r\nContent-Disposition: form-data; name="
        body = f'{part}"name"\r\n\r\n{name}\r\n{part}"photo"; filename="p.png"\r\n\r\n{content}\r\n--{boundary}--\r\n'
        return shop.send(body.encode(), key="a", headers=[("content-type", f"multipart/form-data; boundary={boundary}")])

    assert [(await upload("one")).status, (await upload("two")).json()] == [201, 1]
    assert (await upload("one", name="pen")).status == 422
    assert (await upload("one", content="other")).status == 422
    assert await orders() == 1


async def test_an_endpoint_may_read_the_body_itself(shop):
    """A body that no parameter declares counts byte by byte, and is still there for the endpoint."""

    @shop.post()
    async def create(request: Request, uow: CurrentUnit) -> int:
        chunks = [chunk async for chunk in request.stream()]
        assert b"".join(chunks) == b"raw"
        return await shop.place(uow, "book")

    assert [(await shop.send(body, key="a")).status for body in (b"raw", b"raw", b"row")] == [201, 201, 422]


async def _stream(shop):
    @shop.post()
    async def create(uow: CurrentUnit):
        await shop.place(uow, "book")
        return StreamingResponse(iter([b"a"]))


async def _long(shop):
    @shop.post(guard=Idempotent(max_answer=10))
    async def create(uow: CurrentUnit) -> str:
        await shop.place(uow, "book")
        return "x" * 10


async def _own_connection(shop):
    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        number = await shop.place(uow, "book")
        await (await uow.session.connection()).commit()
        return number


async def _session_commit(shop):
    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        async with uow:
            await uow.session.execute(text("INSERT INTO orders (item) VALUES ('book')"))
            await uow.session.commit()
        return 1


async def _session_rollback(shop):
    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        number = await shop.place(uow, "book")
        await uow.session.rollback()
        return number


async def _open_before(shop):
    async def opened(uow: CurrentUnit):
        async with uow:
            yield uow

    guards = [Depends(opened), Depends(Idempotent())]

    @shop.router.post("", dependencies=guards)
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")


async def _open_after(shop):
    async def opened(uow: CurrentUnit):
        async with uow:
            yield uow

    @shop.post()
    async def create(uow: Annotated[object, Depends(opened)]) -> int:
        return await shop.place(uow, "book")


async def _two_guards(shop):
    @shop.router.post("", dependencies=[Depends(Idempotent()), Depends(Idempotent())])
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")


async def _late_login(shop):
    from fastness.context import current

    async def login():
        current().principal = "late"

    @shop.post()
    async def create(uow: CurrentUnit, _: Annotated[None, Depends(login)]) -> int:
        return await shop.place(uow, "book")


async def _read_before(shop):
    async def reader(request: Request):
        async for _ in request.stream():
            pass

    @shop.router.post("", dependencies=[Depends(reader), Depends(Idempotent())])
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")


FAULTS = [
    (_stream, "return the whole body"),
    (_long, r"max_answer=\.\.\."),
    (_own_connection, r"CurrentUnit"),
    (_session_commit, r"instead of calling session\.commit"),
    (_session_rollback, "rolled back inside"),
    (_open_before, "already open"),
    (_open_after, "still open"),
    (_two_guards, "two Idempotent guards"),
    (_late_login, "after authentication"),
    (_read_before, "read as a stream"),
]


@pytest.mark.parametrize(("make", "says"), FAULTS, ids=[make.__name__[1:] for make, _ in FAULTS])
async def test_what_cannot_be_done_once_fails_loudly(shop, orders, caplog, make, says):
    """A handler that would break the promise gets a 500 that says in the log what to do, and has no effect."""
    await make(shop)
    answer = await shop.send(key="a")
    assert answer.status == 500
    with pytest.raises(RuntimeError, match=says):
        raise raised(shop, caplog)
    assert await orders() == 0


async def test_another_transaction_is_not_committed(postgres_url, make_shop, caplog):
    """A handler that writes in a unit of its own is stopped before it commits. (On SQLite it waits for itself.)"""
    async with make_shop(postgres_url) as (shop, orders):

        @shop.post()
        async def create(request: Request) -> int:
            return await shop.place(request.state.database.unit(), "book")

        assert (await shop.send(key="a")).status == 500
        assert "(fastness.database.CurrentUnit)" in str(raised(shop, caplog))
        assert await orders() == 0


async def test_a_commit_by_hand_is_noticed(shop, caplog):
    """A COMMIT that passes SQLAlchemy by cannot be undone any more, but it is not answered with a success."""

    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        number = await shop.place(uow, "book")
        await uow.session.execute(text("COMMIT"))
        return number

    assert (await shop.send(key="a")).status == 500
    assert "COMMIT and ROLLBACK" in str(raised(shop, caplog))


async def test_reading_elsewhere_is_fine(shop, orders):
    """A handler may read in a transaction of its own, and write in one once its request is over."""
    later = []

    @shop.post()
    async def create(request: Request, uow: CurrentUnit) -> int:
        database = request.state.database

        async def write():
            await gone.wait()
            await shop.place(database.unit(), "pen")

        gone = asyncio.Event()
        later.append((gone, asyncio.create_task(write())))
        async with database.unit().reading() as other:
            await other.session.execute(text("SELECT 1"))
        return await shop.place(uow, "book")

    assert (await shop.send(key="a")).status == 201
    (gone, task), *_ = later
    gone.set()
    await task
    assert await orders() == 2


async def test_a_request_that_is_cancelled_leaves_nothing(shop, orders, database):
    """A handler that is cancelled, as by a deadline, is undone; its key is free at once."""
    entered = asyncio.Event()
    hold = [True]

    @shop.post()
    async def create(uow: CurrentUnit) -> int:
        number = await shop.place(uow, "book")
        if hold:
            entered.set()
            await asyncio.Event().wait()
        return number

    task = asyncio.create_task(shop.send(key="a"))
    await entered.wait()
    if database.dialect == "postgresql":
        assert (await shop.send(key="a")).status == 409
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.clear()
    assert (await shop.send(key="a")).status == 201
    assert await orders() == 1


async def test_a_commit_that_fails_is_no_answer(plain, orders):
    """When the database does not take the commit, the client gets an error, and its retry is a first try."""

    def fail(connection):
        connection.exec_driver_sql("ROLLBACK")
        raise OSError("the disk is full")

    event.listen(Engine, "commit", fail)  # of the class, which hears of it first
    try:
        assert (await plain.send(key="a")).status == 500
    finally:
        event.remove(Engine, "commit", fail)
    assert await orders() == 0
    assert (await plain.send(key="a")).status == 201


async def test_an_answer_that_holds_a_secret_is_stored_sealed(shop, database):
    """The retry gets it, the table does not show it, and without its key it is refused rather than made again."""
    made = []

    @shop.post(guard=Idempotent(seal=True))
    async def create(uow: CurrentUnit) -> str:
        await shop.place(uow, "book")
        made.append(f"whsec_{len(made)}")
        return made[-1]

    old, new = (Fernet.generate_key().decode() for _ in range(2))
    shop.state["idempotency_sealer"] = Sealer([old])
    first = await shop.send(key="a")
    assert (first.status, first.json()) == (201, "whsec_0")
    async with database.unit().reading() as uow:
        row = (await uow.session.execute(text("SELECT status, headers, body FROM idempotency_records"))).one()
    assert row.status == 201
    assert "whsec" not in row.headers
    assert b"whsec" not in bytes(row.body)
    shop.state["idempotency_sealer"] = Sealer([new, old])
    again = await shop.send(key="a")
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (201, first.body, "true")
    assert again.headers["content-type"] == "application/json"
    shop.state["idempotency_sealer"] = Sealer([new])
    refused = await shop.send(key="a")
    assert (refused.status, refused.json()["type"]) == (503, TYPE + "answer-unreadable")
    assert refused.headers["retry-after"] == "5"
    assert made == ["whsec_0"]


async def test_no_secret_is_stored_where_there_is_no_key_to_seal_it_with(shop, orders, caplog):
    """The request fails before it is handled; one without a key stores nothing and is handled."""

    @shop.post(guard=Idempotent(required=False, seal=True))
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    assert (await shop.send(key="a")).status == 500
    assert "idempotency_sealer" in str(raised(shop, caplog))
    assert await orders() == 0
    assert (await shop.send(key="")).status == 201


async def test_an_answer_of_before_or_after_it_was_to_be_sealed_is_not_given(shop, orders):
    """Whoever can write to the table must not be able to answer for a route that seals, and nobody gets a sealed text."""
    guard = Idempotent()

    @shop.post(guard=guard)
    async def create(uow: CurrentUnit) -> int:
        return await shop.place(uow, "book")

    shop.state["idempotency_sealer"] = Sealer([Fernet.generate_key().decode()])
    for key, seal in (("a", False), ("b", True)):
        guard._seal = seal
        assert (await shop.send(key=key)).status == 201
        guard._seal = not seal
        assert (await shop.send(key=key)).status == 503
    assert await orders() == 2
