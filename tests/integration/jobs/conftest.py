"""Databases with the tables of jobs."""

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations

from fastness.database import Database, PoolSize
from fastness.jobs import migrations


@pytest.fixture(scope="session")
def migrate():
    """Runs a function of `migrations` as a migration does."""

    async def run(database, change=migrations.upgrade):
        async with database.engine.begin() as connection:
            await connection.run_sync(lambda sync: change(Operations(MigrationContext.configure(sync))))

    return run


@pytest.fixture
async def empty(database_url):
    """Without any tables."""
    made = Database(database_url, pool=PoolSize(kept=3, overflow=10, wait=30))
    yield made
    await made.close()


@pytest.fixture
async def database(empty, migrate):
    """With the tables of jobs."""
    await migrate(empty)
    return empty


@pytest.fixture
async def postgres(postgres_url, migrate):
    """On PostgreSQL, with the tables of jobs."""
    made = Database(postgres_url, pool=PoolSize(kept=3, overflow=10, wait=30))
    await migrate(made)
    yield made
    await made.close()
