"""Whether the database has the tables that this code needs. It changes nothing: migrations run apart from the service."""

from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

MIGRATIONS = Path(__file__).parents[3] / "migrations"


class SchemaBehind(Exception):
    """The database lacks migrations that this code needs."""


class Schema:
    """The migrations that come with this code."""

    def __init__(self, migrations: Path = MIGRATIONS) -> None:
        self._scripts = ScriptDirectory(str(migrations))
        self._heads = set(self._scripts.get_heads())

    def check(self, connection: Connection) -> None:
        """Refuse a database that is behind. One that is ahead is fine: that is how a rolling update looks from the old side.

        Raises:
            SchemaBehind: migrations are missing.
        """
        current: set[str] = set()
        if inspect(connection).has_table("alembic_version"):
            current = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
        if current == self._heads or any(self._is_unknown(revision) for revision in current):
            return
        raise SchemaBehind(
            f"the database is at {_names(current)}, this code needs {_names(self._heads)}: run `alembic upgrade head`"
        )

    def _is_unknown(self, revision: str) -> bool:
        try:
            self._scripts.get_revision(revision)
        except CommandError:
            return True
        return False


def _names(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "no migration"
