"""Whether the connections of a fleet fit, asked of real databases, and through something that greets as a pooler does."""

import asyncio
import logging
import struct
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from fastness.database import Database, Fleet, PoolSize, examine

SMALL = PoolSize(kept=1, overflow=0)


async def test_sqlite_has_no_limit(tmp_path: Path) -> None:
    """Nothing is asked of it."""
    database = Database(f"sqlite:///{tmp_path}/x.db", fleet=Fleet(replicas=1000))
    await database.open()
    await database.close()


async def test_the_smallest_limit_counts(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Here that of the database; a fleet that does not fit does not start, and one that just fits is told."""
    name = urlsplit(postgres_url).path[1:]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 10')
    database = Database(postgres_url, pool=SMALL)
    fit = await examine(database.engine, pool=SMALL, fleet=Fleet(replicas=2, workers=1))
    assert (fit.demand, fit.limit, fit.limited_by, fit.pooler, fit.verdict) == (9, 10, "database", False, "tight")
    await database.close()
    with caplog.at_level(logging.WARNING, "fastness.database"):
        for replicas in (1, 2):
            database = Database(postgres_url, pool=SMALL, fleet=Fleet(replicas=replicas, workers=1))
            await database.open()
            await database.close()
    assert caplog.messages == ["database pools: up to 9 connections, and the database admits 10: tight"]
    with pytest.raises(ValueError, match="up to 11 connections, and the database admits 10"):
        await Database(postgres_url, pool=SMALL, fleet=Fleet(replicas=8)).open()


async def test_an_absent_database_does_not_stop_the_start(free_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Readiness tells; the pools are looked at with the next start."""
    database = Database(f"postgresql://nobody@127.0.0.1:{free_tcp_port}/x", fleet=Fleet())
    with caplog.at_level(logging.WARNING, "fastness.database"):
        await database.open()
    await database.close()
    assert "not known" in caplog.text


async def test_a_pooler_is_recognised(postgres_url: str) -> None:
    """By the process id in its greeting, which is not the server's."""
    parts = urlsplit(postgres_url)

    ended = asyncio.Event()

    async def relay(client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection(parts.hostname, parts.port)

        async def upstream() -> None:
            while data := await client_in.read(65536):
                server_out.write(data)
            server_out.close()
            await server_out.wait_closed()

        async def downstream() -> None:
            while data := await server_in.read(65536):
                at = data.find(b"K\x00\x00\x00\x0c")  # BackendKeyData: process id, secret
                if at >= 0:
                    data = data[: at + 5] + struct.pack("!I", 4711) + data[at + 9 :]
                client_out.write(data)
            client_out.close()
            await client_out.wait_closed()

        with suppress(ConnectionError):
            await asyncio.gather(upstream(), downstream())
        ended.set()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        netloc = parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}"
        url = urlunsplit(parts._replace(netloc=netloc.lstrip("@"), query="sslmode=disable"))
        database = Database(url, pool=SMALL)
        fit = await examine(database.engine, pool=SMALL, fleet=Fleet(replicas=10_000))
        await database.close()
        await asyncio.wait_for(ended.wait(), 30)
    assert fit.pooler
    assert fit.verdict == "fits"
    assert "max_client_conn" in str(fit)
