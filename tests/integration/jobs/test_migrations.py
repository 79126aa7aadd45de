"""The tables of jobs come and go with the service's migrations, from any version."""

import sqlite3
from contextlib import closing
from importlib import resources
from io import StringIO

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import MetaData, inspect, text

from fastness.database import Database
from fastness.jobs import JobError, Jobs, migrations
from fastness.jobs.sqlite import metadata
from fastness.testing.conformance.jobs._base import TASKS, note

OBJECTS = """
SELECT 'function', pg_get_functiondef(oid) FROM pg_proc WHERE proname LIKE 'procrastinate%'
UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'column', table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable
    FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'comment', obj_description('procrastinate_jobs'::regclass, 'pg_class')
ORDER BY 1, 2
"""


async def objects(database):
    async with database.unit().reading() as uow:
        return [tuple(row) for row in await uow.session.execute(text(OBJECTS))]


async def tables(database):
    async with database.engine.connect() as connection:
        return await connection.run_sync(lambda sync: inspect(sync).get_table_names())


async def test_up_down_up(empty, migrate):
    """Up a second time changes nothing, down leaves nothing, and up again makes all of it."""
    jobs = Jobs(empty, tasks=[])
    with pytest.raises(JobError, match="missing"):
        await jobs.check()
    await migrate(empty)
    await jobs.check()
    made = await tables(empty)
    await migrate(empty)
    assert await tables(empty) == made != []
    await migrate(empty, migrations.downgrade)
    assert await tables(empty) == []
    await migrate(empty)
    await jobs.check()
    assert await tables(empty) == made


async def test_alembic_leaves_the_tables_alone(database):
    """`alembic check` with `include_name` finds no drift in a service that has jobs and nothing else."""

    def drift(connection):
        context = MigrationContext.configure(connection, opts={"include_name": migrations.include_name})
        return compare_metadata(context, MetaData())

    async with database.engine.connect() as connection:
        assert await connection.run_sync(drift) == []
    assert migrations.include_name("orders", "table", {})
    assert migrations.include_name(None, "schema", {})


@pytest.mark.parametrize("last", ["03.01.00_50", "03.02.00_50", "03.03.00_01"])
async def test_older_tables_are_brought_up_to_date(postgres, postgres_server, last, migrate):
    """What an older procrastinate left becomes what a new database gets, object by object; readiness says that it is behind."""
    url = postgres_server.create()
    old = Database(url)
    try:
        scripts = sorted((resources.files("procrastinate") / "sql" / "migrations").iterdir(), key=lambda file: file.name)
        applied = ""
        with psycopg.connect(url, autocommit=True) as connection:
            for script in scripts:
                if script.name.endswith(".sql") and script.name[:11] <= last:
                    connection.execute(script.read_bytes())
                    applied = script.name.removesuffix(".sql")
            connection.execute(f"COMMENT ON TABLE procrastinate_jobs IS 'procrastinate {applied}'".encode())
        with pytest.raises(JobError, match="procrastinate needs"):
            await Jobs(old, tasks=[]).check()
        await migrate(old)
        await Jobs(old, tasks=[]).check()
        theirs, ours = await objects(old), await objects(postgres)
        # History leaves functions and indexes behind that nobody uses.
        assert {one for one in ours if one[0] in ("column", "trigger", "comment")} <= set(theirs)
    finally:
        await old.close()
        postgres_server.drop(url)


async def test_an_older_table_on_sqlite_is_brought_up_to_date(tmp_path, migrate):
    """It gets the columns that it lacks, with a value for the jobs in it; readiness says so until then."""
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    await migrate(database)
    jobs = Jobs(database, tasks=TASKS)
    async with database.unit() as uow:
        made = await jobs.enqueue(uow, note, what="a")
        await uow.session.execute(text("ALTER TABLE fastness_jobs DROP COLUMN strange"))
    with pytest.raises(JobError, match="behind"):
        await jobs.check()
    await migrate(database)
    await jobs.check()
    (claim,) = await jobs.engine.claim(None, 1)
    assert (claim.id, claim.strange) == (made.id, 0)
    await database.close()


async def test_tables_of_unknown_origin_are_refused(postgres, migrate):
    """They may be of any version: the person who knows is told what to do."""
    async with postgres.engine.begin() as connection:
        await connection.execute(text("COMMENT ON TABLE procrastinate_jobs IS NULL"))
    with pytest.raises(JobError, match="COMMENT ON TABLE"):
        await migrate(postgres)


def test_the_sql_can_be_printed():
    """`alembic upgrade --sql` gives all of it for a new database, and what is missing for one whose age is told."""

    def sql(**options):
        printed = StringIO()
        context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": printed})
        migrations.upgrade(Operations(context), **options)
        return printed.getvalue()

    assert "CREATE TABLE procrastinate_jobs" in sql()
    assert "'todo'::procrastinate_job_status" in sql()
    later = sql(since="procrastinate 03.03.00_01_pre_priority_lock_fetch_job")
    assert "CREATE TABLE procrastinate_jobs" not in later
    assert "procrastinate_retry_job_v2" in later
    assert f"IS 'procrastinate {migrations.newest_version()}'" in later


def test_the_sql_for_sqlite_can_be_printed():
    """What it says makes the tables that the engine has, and takes them away again."""

    def sql(change, **options):
        printed = StringIO()
        context = MigrationContext.configure(dialect_name="sqlite", opts={"as_sql": True, "output_buffer": printed})
        change(Operations(context), **options)
        return printed.getvalue()

    def tables(database):
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'fastness%'")}

    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(sql(migrations.upgrade))
        assert tables(database) == {item.name for table in metadata.sorted_tables for item in (table, *table.indexes)}
        database.executescript(sql(migrations.downgrade))
        assert not tables(database)
    assert not sql(migrations.upgrade, since="anything")
