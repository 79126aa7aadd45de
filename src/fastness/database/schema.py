"""Whether the database has the tables that the code needs. It changes nothing: migrations run apart from the service."""

from __future__ import annotations

from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text


class SchemaBehind(Exception):  # noqa: N818 - a state of the database, and no error of its own
    """The database lacks migrations that this code needs."""


class Schema:
    """The migrations that come with the code.

    Args:
        migrations: Alembic's script directory.
    """

    def __init__(self, migrations: Path) -> None:
        self._migrations = migrations
        self._loaded: ScriptDirectory | None = None

    def load(self) -> ScriptDirectory:
        """The scripts, read once.

        Raises:
            CommandError: they are not there, or contradict each other.
        """
        if self._loaded is None:
            self._loaded = ScriptDirectory(str(self._migrations))
        return self._loaded

    def check(self, connection: Connection) -> None:
        """Refuse a database that is behind. One that is ahead is fine: that is how a rolling update looks from the old side.

        Raises:
            SchemaBehind: migrations are missing.
        """
        scripts = self.load()
        heads = set(scripts.get_heads())
        current: set[str] = set()
        if inspect(connection).has_table("alembic_version"):
            current = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
        if current == heads or any(_is_unknown(revision, scripts) for revision in current):
            return
        raise SchemaBehind(f"the database is at {_names(current)}, this code needs {_names(heads)}: run `fastness migrate`")


def _is_unknown(revision: str, scripts: ScriptDirectory) -> bool:
    try:
        scripts.get_revision(revision)
    except CommandError:
        return True
    return False


def _names(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "no migration"
