"""What happens to a keyed request when the connection, its task, or the server's settings are not as one would wish."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from fastapi import Response
from sqlalchemy import make_url, text

from fastness.database import CurrentUnit


def add_endpoint(shop):
    @shop.post()
    async def create(body: dict[str, str], uow: CurrentUnit) -> int:
        return await shop.place(uow, body["item"])


async def retried(shop, key):
    """The answers to a client that tries again until it has one."""
    answers = [await shop.send(key=key)]
    while (status := answers[-1].status) != 201:
        assert status in (409, 503), answers[-1].text
        await asyncio.sleep(0.01)
        answers.append(await shop.send(key=key))
    return answers


class Wire:
    """What PostgreSQL is reached through. It breaks where a message has `at` in it: before the server has it, or after.

    Attributes:
        at: the part of a message; empty once it has broken.
        late: the server has answered by then, and the client does not hear of it.
    """

    def __init__(self) -> None:
        self.at = b""
        self.late = False

    @asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[str]:
        """The URL of the same database through this."""
        target = make_url(url)

        carrying: list[asyncio.Task[object] | None] = []

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            carrying.append(asyncio.current_task())
            up, down = await asyncio.open_connection(target.host, target.port or 5432)
            broken = False

            async def answer() -> None:
                with suppress(ConnectionError):
                    while (data := await up.read(65_536)) and not broken:
                        writer.write(data)
                writer.transport.abort()

            answering = asyncio.create_task(answer())
            with suppress(ConnectionError):
                while data := await reader.read(65_536):
                    if self.at and self.at in data:
                        self.at, broken = b"", True
                    if broken and not self.late:
                        break
                    down.write(data)
            down.transport.abort()
            await answering

        async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            through = target.set(host="127.0.0.1", port=port).update_query_dict({"sslmode": "disable"})
            yield through.render_as_string(hide_password=False)
            await asyncio.gather(*carrying)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", [b"BEGIN", b"INSERT INTO orders", b"COMMIT"])
async def test_a_connection_that_breaks(postgres_url, make_shop, at, late):
    """Its client gets an error to retry after, and learns then whether the commit had reached the server."""
    wire = Wire()
    async with wire.to(postgres_url) as url, make_shop(url) as (shop, orders):
        add_endpoint(shop)
        await shop.send()
        wire.at, wire.late = at, late
        first, *_, last = await retried(shop, "a")
        assert (first.status, wire.at) == (503, b"")
        assert ("idempotent-replayed" in last.headers) is (late and at == b"COMMIT")
        assert await orders() == 2


@pytest.mark.parametrize("times", [1, 5])
async def test_a_request_that_is_cancelled_at_any_moment(shop, orders, database, times):
    """Also again while it cleans up: it has its effect whole or not at all, and leaves neither a lock nor a connection."""
    add_endpoint(shop)
    await shop.send()
    made, turns, ended, before = 1, 0, False, asyncio.all_tasks()
    while not ended:
        sending = asyncio.create_task(shop.send(key=f"a{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = sending.done()
        for _ in range(times):
            sending.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(sending, return_exceptions=True)
        await retried(shop, f"a{turns}")
        made, turns = made + 1, turns + 7
        assert await orders() == made
        await asyncio.gather(*asyncio.all_tasks() - before, return_exceptions=True)  # which nobody waited for any more
        assert (database.engine.pool.checkedout(), database._holding) == (0, {})


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_another_isolation_level(postgres_url, make_shop, level):
    """Where the server's default is a stricter one, what conflicts is an error to retry after; there is one effect."""
    async with make_shop(f"{postgres_url}?options=-cdefault_transaction_isolation={level.replace(' ', '%5C%20')}") as made:
        shop, orders = made
        add_endpoint(shop)
        async with shop.state["database"].unit().reading() as uow:
            assert await uow.session.scalar(text("SHOW transaction_isolation")) == level
        answers = await asyncio.gather(*(retried(shop, f"a{number % 2}") for number in range(20)))
        assert len({answer[-1].body for answer in answers}) == await orders() == 2


async def test_through_a_pooler(pooled_url, make_shop):
    """Where each transaction may get another connection, lock and answer still belong to one: there is one effect."""
    async with make_shop(pooled_url) as (shop, orders):
        add_endpoint(shop)
        answers = await asyncio.gather(*(retried(shop, f"a{number % 2}") for number in range(20)))
        assert len({answer[-1].body for answer in answers}) == await orders() == 2
        async with shop.state["database"].unit().reading() as uow:
            own = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            assert await uow.session.scalar(text(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {own}")) == 0


BODIES = [b"", bytes(range(256)), b"%s %(id)s %% :id $1", b"'; ROLLBACK; --\\'", b"%" * 262_144, os.urandom(262_144)]
HEADERS = ["", "'\\\"%s%(id)s:id", "\\" * 201, "'" * 200, "\xe9\xff;$1"]


@pytest.mark.parametrize("strings", [None, "on", "off"])
async def test_any_answer_comes_back(request, make_shop, strings):
    """Byte by byte, with its headers, also where PostgreSQL's strings are not standard; on SQLite too."""
    url = "sqlite:///" + str(request.getfixturevalue("tmp_path") / "shop.db")
    if strings is not None:
        url = f"{request.getfixturevalue('postgres_url')}?options=-cstandard_conforming_strings={strings}"
    async with make_shop(url) as (shop, _):
        answers = [(body, link) for body in BODIES for link in HEADERS]

        @shop.post("/{number}")
        async def create(number: int, uow: CurrentUnit) -> Response:
            await shop.place(uow, "book")
            body, link = answers[number]
            response = Response(body, 201)
            response.raw_headers.append((b"link", link.encode("latin-1")))
            return response

        for number, (body, link) in enumerate(answers):
            for replayed in (None, "true"):
                answer = await shop.send(key=f"'%s\\{number}", path=f"/{number}")
                found = (answer.status, answer.body, answer.headers["link"], answer.headers.get("idempotent-replayed"))
                assert found == (201, body, link, replayed)
