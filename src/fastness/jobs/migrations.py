"""The tables of jobs, for the service's own Alembic migrations: procrastinate's on PostgreSQL, ours on SQLite.

    from fastness.jobs import migrations

    def upgrade() -> None:
        migrations.upgrade(op)

    def downgrade() -> None:
        migrations.downgrade(op)

When procrastinate comes with newer tables, readiness says so, and one more migration with the same line brings them up to
date: `upgrade` does what is missing, in a database of any age. `include_name` keeps `alembic check` away from them.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import text
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, DropTable

from fastness.jobs.model import JobError

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection
    from sqlalchemy.sql import Executable


class Operations(Protocol):
    """What is used of `alembic.op`, the module."""

    def get_context(self) -> MigrationContext:
        """How the migration runs."""

    def get_bind(self) -> Connection:
        """The connection that it runs on."""

    def execute(self, sqltext: Executable | str) -> None:
        """Run a statement, or write it down."""


_MARK = "procrastinate "
_TABLES = ("procrastinate_events", "procrastinate_periodic_defers", "procrastinate_jobs", "procrastinate_workers")
# For the gauge of failed jobs. The path of a job that succeeds does not touch it.
_INDEX = "CREATE INDEX IF NOT EXISTS fastness_jobs_failed_idx ON procrastinate_jobs (queue_name) WHERE status = 'failed'"


def include_name(name: str | None, type_: str, parent_names: Any = None) -> bool:  # noqa: ARG001 - Alembic's signature
    """For `context.configure(include_name=...)`: False for the tables of jobs, which are not in the service's metadata."""
    return not (type_ == "table" and name is not None and name.startswith(("procrastinate_", "fastness_job")))


def upgrade(op: Operations, *, since: str | None = None) -> None:
    """Bring the tables of jobs to what the installed version needs. Does nothing when they are.

    Args:
        op: `alembic.op`.
        since: for `alembic upgrade --sql`, which cannot ask the database: what the previous migration left there, as the
            comment on `procrastinate_jobs` says (on SQLite, any text), or None when there is nothing.
    """
    if _dialect(op) == "sqlite":
        from fastness.jobs.sqlite import jobs, metadata, missing_columns

        if not op.get_context().as_sql:
            metadata.create_all(op.get_bind())
            for column in missing_columns(op.get_bind()) or ():
                declared = CreateColumn(column).compile(dialect=op.get_context().dialect)
                op.execute(f"ALTER TABLE {jobs.name} ADD COLUMN {declared}")
        elif since is None:
            for table in metadata.sorted_tables:
                op.execute(CreateTable(table))
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    op.execute(CreateIndex(index))
        return
    if not op.get_context().as_sql:
        there, comment = op.get_bind().execute(text(_VERSION)).one()
        since = comment if there else None
        if there and not (comment or "").startswith(_MARK):
            raise JobError(
                "jobs: procrastinate_jobs is there, but was not made by this function. Bring it to the newest of "
                "procrastinate's migrations, then: COMMENT ON TABLE procrastinate_jobs IS 'procrastinate <that file's name>'"
            )
    newest = newest_version()
    if since is None:
        _execute(op, (_files() / "schema.sql").read_text())
    else:
        for version, statements in _scripts():
            if version > since.removeprefix(_MARK):
                _execute(op, statements)
    _execute(op, _INDEX)
    _execute(op, f"COMMENT ON TABLE procrastinate_jobs IS '{_MARK}{newest}'")


def downgrade(op: Operations) -> None:
    """Remove the tables of jobs, with every job in them."""
    if _dialect(op) == "sqlite":
        from fastness.jobs.sqlite import metadata

        if not op.get_context().as_sql:
            metadata.drop_all(op.get_bind())
        else:
            for table in reversed(metadata.sorted_tables):
                op.execute(DropTable(table))
        return
    for table in _TABLES:
        _execute(op, f"DROP TABLE IF EXISTS {table} CASCADE")
    # Functions and types by their names, whatever the version brought: all of them begin alike.
    _execute(op, _DROP)


def newest_version() -> str:
    """The newest of the installed procrastinate's migrations."""
    return _scripts()[-1][0]


def check_version(comment: str | None, *, there: bool) -> None:
    """Compare the comment on the table with what is installed.

    Raises:
        JobError: the tables are missing or behind. Ahead is fine: that is how a rolling update looks from the old side.
    """
    if not there:
        raise JobError("the tables of jobs are missing: add a migration with fastness.jobs.migrations.upgrade(op)")
    found = (comment or "").removeprefix(_MARK)
    if not found or found < newest_version():
        raise JobError(
            f"the tables of jobs are at {found or 'an unknown version'}, procrastinate needs {newest_version()}: "
            "add a migration with fastness.jobs.migrations.upgrade(op)"
        )


_VERSION = (
    "SELECT to_regclass('procrastinate_jobs') IS NOT NULL, obj_description(to_regclass('procrastinate_jobs'), 'pg_class')"
)
_DROP = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.proname LIKE 'procrastinate\\_%' AND p.pronamespace = current_schema()::regnamespace
    LOOP EXECUTE format('DROP FUNCTION %s CASCADE', found.name); END LOOP;
    FOR found IN SELECT t.typname AS name FROM pg_type t
        WHERE t.typname LIKE 'procrastinate\\_%' AND t.typtype IN ('e', 'c') AND t.typnamespace = current_schema()::regnamespace
    LOOP EXECUTE format('DROP TYPE IF EXISTS %I CASCADE', found.name); END LOOP;
END $$
"""


def _files() -> Any:
    return resources.files("procrastinate") / "sql"


def _scripts() -> list[tuple[str, str]]:
    files = [file for file in (_files() / "migrations").iterdir() if re.match(r"\d\d\.\d\d\.\d\d_\d\d_.*\.sql$", file.name)]
    return sorted((file.name.removesuffix(".sql"), file.read_text()) for file in files)


def _dialect(op: Operations) -> str:
    return op.get_context().dialect.name


def _execute(op: Operations, statements: str) -> None:
    # A colon begins a parameter in SQLAlchemy's text, and none is one here.
    op.execute(text(statements.replace(":", "\\:")))
