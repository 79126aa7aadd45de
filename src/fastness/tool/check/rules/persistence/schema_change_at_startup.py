"""The service changes its schema when it starts.

Every worker of every replica runs it at once: two of them create the same table, or wait for each other's locks while the
old version still serves. `create_all` never alters what exists, so the schema drifts from the models in silence; and a
migration that fails keeps the service from starting at the worst time.

Run migrations as a step of the deployment; let readiness wait for the schema.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.facts.imports import made_by_importing
from fastness.tool.check.knowledge.lifetimes.startup import starts
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import FunctionValue
from fastness.tool.project.source.symbols import Function, constant, handed_on
from fastness.tool.project.source.walk import walk

_CALLED = frozenset({
    "create_all", "drop_all", "upgrade", "downgrade", "stamp", "run_sync", "call_command", "generate_schemas",
    "register_tortoise", "RegisterTortoise",
})  # fmt: skip
_CHANGES = (
    "alembic.command.upgrade", "alembic.command.downgrade", "alembic.command.stamp", "tortoise.Tortoise.generate_schemas",
)  # fmt: skip
_REGISTERS = re.compile(r"tortoise\.contrib\.(?:fastapi|starlette)\.(?:register_tortoise|RegisterTortoise)")
_TOOLS = ("alembic", "aerich", "piccolo", "prisma", "migrate")
_COMMANDS = re.compile(
    r"subprocess\.(?:run|call|check_call|check_output|Popen)|os\.(?:system|popen)|asyncio\.create_subprocess_(?:exec|shell)"
)
_MIGRATES = re.compile(
    r"\b(?:alembic|aerich|piccolo)\b.*\b(?:upgrade|downgrade|stamp|forwards)\b|\bprisma\b.*\b(?:migrate|push)\b"
    r"|manage\.py migrate\b"
)


@rule(
    severity=Severity.ERROR, practice="10.4", help="run migrations as a step of the deployment, before the new version starts"
)
def check(service: Service) -> Iterator[Found]:
    made_by = (app.scope for app in service.apps)
    entries = list(dict.fromkeys((*starts(service), *(scope for scope in made_by if isinstance(scope, Function)))))
    entries = [entry for entry in entries if not entry.module.is_test]
    chains = service.graph.nearest(entries, lambda call: _kind(service, call))
    reported = set()
    for entry in entries:
        chain = chains.get(entry, {}).get("schema")
        if chain is not None and chain.last.site not in reported:
            reported.add(chain.last.site)
            first = chain.edges[0].site.node if chain.edges else chain.last.site.node
            what = _migrates(service, chain.last) or chain.last.target.path.rpartition(".")[2]
            yield found(entry, first, f"start-up changes the schema: {what}", proof(entry, entry.node, "runs at start-up"),
                        *told(chain, "changes the schema"))  # fmt: skip
    if not any(module.calls_by_name.names & _CALLED or module.mentions(*_TOOLS) for module in service.project.service):
        return  # before all that importing the app calls is followed
    made = made_by_importing(service)
    chains = service.graph.nearest((target for one in made for target in one.targets), lambda call: _kind(service, call))
    for one in made:
        site = one.site
        if site not in reported and any(_kind(service, call) for call in one.outward):
            yield found(site.scope, site.node, f"importing the app changes the schema: {site.name}")
        chain = next((chains[target]["schema"] for target in one.targets if target in chains), None)
        if chain is not None and chain.last.site not in reported:
            reported.add(chain.last.site)
            yield found(site.scope, site.node, f"importing the app changes the schema: {site.name}",
                        *told(chain, "changes the schema"))  # fmt: skip


def _kind(service: Service, call: Outward) -> str | None:
    path = call.target.path
    is_metadata = path.endswith((".create_all", ".drop_all")) and "metadata" in path.lower()
    is_asked_to = bool(_REGISTERS.fullmatch(path)) and constant(call.site.argument("generate_schemas")) is True
    if path in _CHANGES or is_metadata or is_asked_to or _migrates(service, call):
        return "schema"
    if path == "django.core.management.call_command":
        return "schema" if constant(call.site.argument("command_name", 0)) in {"migrate", "flush"} else None
    handed_over = path.endswith(".run_sync") and call.site.node.args
    if handed_over:
        argument = call.site.node.args[0]
        if getattr(argument, "attr", "") in {"create_all", "drop_all"}:
            return "schema"
        values = service.resolver.infer(argument, call.site.scope)
        given = [value.definition for value in values if isinstance(value, FunctionValue)]
        return "schema" if service.graph.nearest(given, lambda inner: _kind(service, inner)) else None
    return None


def _migrates(service: Service, call: Outward) -> str | None:
    """The command by which another process changes the schema: `subprocess.run(["alembic", "upgrade", "head"])`."""
    if not _COMMANDS.fullmatch(call.target.path):
        return None
    given = (literals.origin(service.resolver, one, call.site.scope)[0] for one in handed_on(call.site.node))
    said = [(node.lineno, node.col_offset, node.value) for one in given for node in walk(one) if isinstance(node, ast.Constant)]
    command = _MIGRATES.search(" ".join(str(word) for *_, word in sorted(said, key=lambda one: one[:2])))
    return command[0] if command is not None else None


EXAMPLES = [
    Bad("""
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.orm import DeclarativeBase

        class Base(DeclarativeBase): ...

        engine = create_async_engine("sqlite+aiosqlite://")

        async def create_tables():
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)

        @asynccontextmanager
        async def lifespan(app):
            await create_tables()  # found
            yield

        app = FastAPI(lifespan=lifespan)
    """),
    Bad("""
        # file: app/db.py
        from sqlalchemy import MetaData, create_engine

        metadata = MetaData()
        engine = create_engine("postgresql://db/orders")

        def create_tables():
            metadata.create_all(engine)
        # file: app/main.py
        from contextlib import asynccontextmanager
        from fastapi import APIRouter, FastAPI
        from app import storage
        from app.db import create_tables, engine, metadata

        lifespans = []

        @lifespans.append
        @asynccontextmanager
        async def tables(app: FastAPI):
            metadata.drop_all(engine)  # found
            yield

        def make() -> FastAPI:
            app = FastAPI()
            create_tables()  # found
            return app
        # file: app/storage.py
        from sqlalchemy import MetaData
        from app.db import engine

        tables = MetaData()
        tables.create_all(engine)  # found
    """),
    Bad("""
        # file: app/main.py
        from fastapi import FastAPI
        from app.tables import prepare

        prepare()  # found
        app = FastAPI()
        # file: app/tables.py
        from sqlalchemy import create_engine
        from sqlalchemy.orm import declarative_base

        Base = declarative_base()

        def prepare():
            Base.metadata.create_all(create_engine("postgresql://db/orders"))

        if __name__ == "__main__":
            prepare()
    """),
    Bad("""
        from alembic import command
        from fastapi import FastAPI

        app = FastAPI()

        @app.on_event("startup")
        def migrate():
            command.upgrade(None, "head")  # found
        # file: alembic/env.py
        target_metadata = None
    """),
    Bad("""
        from alembic import command
        from fastapi import FastAPI
        from sqlalchemy.ext.asyncio import create_async_engine

        app = FastAPI()
        engine = create_async_engine("sqlite+aiosqlite://")

        def upgrade(connection):
            command.upgrade(connection, "head")

        @app.on_event("startup")
        async def migrate():
            async with engine.begin() as connection:
                await connection.run_sync(upgrade)  # found
    """),
    Bad("""
        # file: app/main.py
        from django.core.management import call_command
        from fastapi import FastAPI
        from app.tables import Tables

        tables = Tables()  # found
        call_command("migrate", "--noinput")  # found
        call_command("collectstatic", "--noinput")
        app = FastAPI()
        # file: app/tables.py
        from sqlalchemy import MetaData, create_engine

        class Tables:
            def __init__(self):
                MetaData().create_all(create_engine("postgresql://db/orders"))
    """),
    Bad("""
        # file: app/main.py
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from tortoise import Tortoise
        from tortoise.contrib.fastapi import RegisterTortoise
        from app.db import register

        @asynccontextmanager
        async def lifespan(app):
            await Tortoise.init(db_url="asyncpg://db/orders", modules={"models": ["app.models"]})
            await Tortoise.generate_schemas()  # found
            yield

        @asynccontextmanager
        async def other_lifespan(app):
            async with RegisterTortoise(app, db_url="asyncpg://db/orders", generate_schemas=False):
                yield

        app = FastAPI(lifespan=lifespan)
        register(app)  # found
        # file: app/db.py
        from tortoise.contrib.fastapi import register_tortoise

        def register(app):
            register_tortoise(app, db_url="asyncpg://db/orders", generate_schemas=True)
    """),
    Good("""
        # file: app/migrate.py
        from alembic import command

        def main():
            command.upgrade(None, "head")

        if __name__ == "__main__":
            main()
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()
        # Base.metadata.create_all(engine)
    """),
    Good(
        """
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from sqlalchemy import create_engine

        engine = create_engine("sqlite://")

        @asynccontextmanager
        async def lifespan(app):
            head = ScriptDirectory.from_config(Config("alembic.ini")).get_current_head()
            with engine.connect() as connection:
                if MigrationContext.configure(connection).get_current_revision() != head:
                    raise RuntimeError("the schema is old")
            yield

        app = FastAPI(lifespan=lifespan)
    """,
        "start-up looks at the schema and changes nothing",
    ),
    Good(
        """
        # file: app/main.py
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from app.folders import Folders

        folders = Folders()

        @asynccontextmanager
        async def lifespan(app):
            folders.create_all()
            yield

        app = FastAPI(lifespan=lifespan)
        # file: app/folders.py
        class Folders:
            def create_all(self): ...
        # file: app/cli.py
        import typer
        from app.models import Base, engine

        cli = typer.Typer()

        @cli.command()
        def create():
            Base.metadata.create_all(engine)
        # file: app/models.py
        from sqlalchemy import create_engine
        from sqlalchemy.orm import DeclarativeBase

        engine = create_engine("sqlite://")

        class Base(DeclarativeBase): ...
        # file: tests/conftest.py
        from app.models import Base, engine

        def pytest_configure():
            Base.metadata.create_all(engine)
    """,
        "tests and a command make tables, and something that is no schema is created too",
    ),
    Bad("""
        from alembic import command
        from fastapi import FastAPI

        def migrate():
            command.upgrade(None, "head")  # found

        def reset():
            command.downgrade(None, "base")  # found

        app = FastAPI(on_startup=[migrate])
        app.add_event_handler("startup", func=reset)
    """),
    Bad("""
        # file: app/main.py
        import subprocess
        from contextlib import asynccontextmanager
        from fastapi import FastAPI
        from app import database

        def version():
            return subprocess.check_output(["git", "describe"])

        @asynccontextmanager
        async def lifespan(app):
            version()
            database.migrate()  # found
            yield

        app = FastAPI(lifespan=lifespan)
        # file: app/database.py
        import subprocess
        import sys

        def migrate():
            command = [sys.executable, "-m", "alembic", "upgrade", "head"]
            subprocess.run(command, check=True)
    """),
]
