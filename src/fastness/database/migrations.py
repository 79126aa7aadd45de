"""Alembic's side of the database: what `migrations/env.py` calls. It runs apart from the service, never in its start.

from fastness.database import migrations

migrations.run(Settings().database_url, metadata=[Base.metadata])
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import OperationalError

from fastness.database.engine import create_engine, parse_url

RenderItem = Callable[[str, Any, Any], str | Literal[False]]
IncludeName = Callable[[str | None, str, Any], bool]


def run(
    url: str,
    *,
    metadata: Sequence[MetaData],
    render_item: RenderItem | None = None,
    include_name: IncludeName | None = None,
) -> None:
    """Do what the `alembic` command asks for: migrate, compare, or with `--sql` write the statements down.

    Each migration is a transaction of its own, also on SQLite, whose tables are changed by copying them.

    Args:
        url: the database; `alembic -x url=...` names another one, and `-x dialect=postgresql` whose SQL is written down.
        metadata: the tables that the code knows; `alembic revision --autogenerate` and `alembic check` compare with them.
        render_item: how autogenerate writes a type of yours; see Alembic.
        include_name: which tables autogenerate looks at; see Alembic.

    Raises:
        SystemExit: the database cannot be reached; or this runs inside of a service, where every process would migrate, and a
            start that waits for a lock would look like a crash.
    """
    _refuse_inside_of_a_service()
    arguments = context.get_x_argument(as_dictionary=True)
    url = arguments.get("url") or url
    dialect = arguments.get("dialect") or parse_url(url).get_backend_name()
    options: dict[str, Any] = {
        "target_metadata": list(metadata),
        "compare_server_default": True,
        "render_item": render_item,
        "include_name": include_name,
        "render_as_batch": dialect == "sqlite",
        "transaction_per_migration": True,
        "transactional_ddl": True,
    }
    if context.is_offline_mode():
        context.configure(dialect_name=dialect, literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
    else:
        asyncio.run(_online(url, options))


async def _online(url: str, options: dict[str, Any]) -> None:
    engine = create_engine(url, application="migrations")
    try:
        try:
            connection = await engine.connect()
        except OperationalError as error:
            reason = " ".join(str(error.orig).split())
            raise SystemExit(
                f"cannot migrate: the database cannot be reached: {reason}. Check its URL (DATABASE_URL)."
            ) from None
        async with aclosing(connection):
            await connection.run_sync(_migrate, options)
    finally:
        await engine.dispose()


def _migrate(connection: Connection, options: dict[str, Any]) -> None:
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()


def _refuse_inside_of_a_service() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SystemExit(
        "cannot migrate inside of a running service: each of its processes would. Run `fastness migrate` before it starts; "
        "readiness answers 503 until the schema is there."
    )
