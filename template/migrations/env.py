"""How Alembic reaches the database: with the service's own settings and engine."""

import asyncio
import pkgutil
from contextlib import aclosing
from importlib import import_module
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

import app.infra.db
from app.core.config import Settings
from app.infra.db.base import Base, Timestamp
from app.infra.db.engine import create_engine

# Tables register with `Base.metadata` when their module is imported, wherever in the package that is.
for module in pkgutil.iter_modules(app.infra.db.__path__):
    import_module(f"{app.infra.db.__name__}.{module.name}")


def render_item(kind: str, item: Any, _: object) -> str | Literal[False]:
    """How autogenerate writes a type: migrations must not change when the code that they once came from does."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Timestamp) else False


def run(connection: Connection) -> None:
    """Migrate on `connection`; each migration is a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite changes a table by copying it
        transaction_per_migration=True,
        transactional_ddl=True,  # on SQLite too, because our engine begins transactions itself
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate(url: str) -> None:
    """Connect and migrate."""
    engine = create_engine(url)
    try:
        try:
            connection = await engine.connect()
        except OperationalError as error:
            reason = " ".join(str(error.orig).split())
            raise SystemExit(f"cannot migrate: the database cannot be reached: {reason}. Check DATABASE_URL.") from None
        async with aclosing(connection):
            await connection.run_sync(run)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations run on a database: `alembic upgrade head` without --sql")
# Tests name another database than the settings do: `alembic -x url=... upgrade head`.
asyncio.run(migrate(context.get_x_argument(as_dictionary=True).get("url") or Settings().database_url.get_secret_value()))
