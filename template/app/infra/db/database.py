"""The service's database, for the server and for the worker."""

from pathlib import Path

from fastness.database import Database, Fleet, PoolSize, Schema
from fastness.telemetry import instrument

from app.core.config import Settings

MIGRATIONS = Path(__file__).parents[3] / "migrations"


def make_database(settings: Settings, *, application: str) -> Database:
    """The database that the settings name; `application` names the connections."""
    database = Database(
        settings.database_url.get_secret_value(),
        pool=PoolSize(
            kept=settings.database_pool_size, overflow=settings.database_pool_overflow, wait=settings.database_pool_wait
        ),
        schema=Schema(MIGRATIONS),
        fleet=Fleet(),  # this process alone: how many there are, `fastness doctor database` reads from pyproject.toml
        application=application,
    )
    instrument.sqlalchemy(database.engine)
    return database
