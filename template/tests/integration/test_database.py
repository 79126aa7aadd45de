"""The database below the service: migrations, readiness, metrics. Each test on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest
from alembic import command
from fastness.database import Database
from fastness.telemetry import metrics
from sqlalchemy import text

from app.core.config import Settings
from app.infra.db.database import make_database
from tests.conftest import alembic


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    made = make_database(settings, application="test")
    await made.open()
    yield made
    await made.close()


async def test_metrics_show_how_full_the_pool_is(database: Database) -> None:
    """Connections in use of those that there may be, until the database is closed."""
    async with database.unit().reading() as uow:
        await uow.session.execute(text("SELECT 1"))
        shown = (await metrics.expose())[0].decode()
    assert 'fastness_pool_used{pool="database"} 1.0' in shown
    assert 'fastness_pool_size{pool="database"} 10.0' in shown
    await database.close()
    assert 'fastness_pool_used{pool="database"}' not in (await metrics.expose())[0].decode()


async def test_a_migrated_database_is_ready(database: Database) -> None:
    """It has every table that the code needs."""
    await database.check()


async def test_a_pool_that_does_not_fit_does_not_start(settings: Settings) -> None:
    """PostgreSQL admits so many connections, and would refuse the rest on the busiest day; SQLite has no such limit."""
    made = make_database(settings.model_copy(update={"database_pool_size": 5000}), application="test")
    refused = pytest.raises(ValueError, match="Make the pools smaller") if made.dialect == "postgresql" else nullcontext()
    with refused:
        await made.open()
    await made.close()


def test_migrations_and_models_agree(database_url: str) -> None:
    """`alembic check` finds nothing to do, and the way down works."""
    command.check(alembic(database_url))
    command.downgrade(alembic(database_url), "base")
    command.upgrade(alembic(database_url), "head")
    command.check(alembic(database_url))


# feature: example
@pytest.mark.parametrize("url", ["sqlite:///relay.db", "postgresql://nobody@nowhere/relay"])
def test_migrations_can_be_written_down(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`alembic upgrade head --sql` needs no database: what it writes can be read, linted, and run by somebody else."""
    command.upgrade(alembic(url), "head", sql=True)
    assert "CREATE TABLE alembic_version" in capsys.readouterr().out


# /feature: example
