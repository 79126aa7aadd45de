"""The database pool has the library's default size.

SQLAlchemy keeps five connections per process and lets ten more overflow, whatever the database allows: ten replicas with
four workers may open 600, and PostgreSQL refuses the 101st. Too small a pool makes requests wait half a minute, then fail.

Set `pool_size` and `max_overflow` from settings: replicas x workers x (size + overflow) must fit `max_connections`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import External
from fastness.tool.project.routes import Middleware
from fastness.tool.project.source.symbols import CallSite, Function, argument, constant, last_name

_ENGINES = ("sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine")
# The middleware of `fastapi_async_sqlalchemy` and of `fastapi_sqlalchemy`.
_MAKES_ENGINE = {"SQLAlchemyMiddleware", "DBSessionMiddleware"}
_SIZES = {"pool_size", "max_overflow", "poolclass", "pool"}


@rule(
    severity=Severity.INFO,
    practice="7.5",
    help="set `pool_size` and `max_overflow` so that all processes together fit the database",
)
def check(service: Service) -> Iterator[Found]:
    sized: list[CallSite] = []
    for module in service.project.service:
        for name in ("create_engine", "create_async_engine"):
            for site in module.calls_by_name.get(name, ()):
                if not _makes_engine(service, site):
                    continue
                if any(k.arg is None or k.arg in _SIZES for k in site.node.keywords):
                    sized += [site] if any(k.arg == "pool_size" for k in site.node.keywords) else []
                elif not _is_sqlite(service, site) and not _is_short_lived(site):
                    yield found(site.scope, site.node, "this engine has a pool of the default size: 5, and 10 more")
    for middleware in service.middleware:
        if isinstance(middleware.cls, External) and middleware.cls.last in _MAKES_ENGINE and _is_default(service, middleware):
            message = "the engine that this middleware makes has a pool of the default size: 5, and 10 more"
            yield found(middleware.scope, middleware.call, message)
    if len(sized) > 2:
        first, *others = sized
        evidence = [proof(site.scope, site.node, "another pool in the same project") for site in others]
        yield found(
            first.scope, first.node, f"{len(sized)} engines have pools of their own: their connections add up", *evidence
        )


def _is_default(service: Service, middleware: Middleware) -> bool:
    """It makes an engine for a database server, of options that are written here and say nothing of the pool's size."""
    call = middleware.call
    url, options = argument(call, "db_url"), argument(call, "engine_args")
    if url is None or any(one.arg is None for one in call.keywords):
        return False
    if literals.beginning(service.resolver, url, middleware.scope).startswith("sqlite"):
        return False
    if options is None:
        return True
    if not isinstance(options, ast.Dict) or None in options.keys:
        return False
    given = {constant(key): value for key, value in zip(options.keys, options.values, strict=True)}
    return not (given.keys() & {"pool_size", "max_overflow"} or last_name(given.get("poolclass", options)) == "NullPool")


def _is_short_lived(site: CallSite) -> bool:
    """The function that makes the engine disposes of it, as one for a command does."""
    function = site.scope
    if not isinstance(function, Function) or function.is_generator:  # a lifespan's lives as long as the service
        return False
    return any(inner.name == "dispose" for inner in function.calls)


def _makes_engine(service: Service, site: CallSite) -> bool:
    return any(isinstance(value, External) and value.path in _ENGINES for value in service.resolver.targets(site))


def _is_sqlite(service: Service, site: CallSite) -> bool:
    url = site.argument("url", 0)
    return url is not None and literals.beginning(service.resolver, url, site.scope).startswith("sqlite")


EXAMPLES = [
    Bad("""
        from sqlalchemy import create_engine
        from app.config import settings

        engine = create_engine(settings.database_url)  # found
        # file: app/config.py
        class Settings:
            database_url: str

        settings = Settings()
    """),
    Bad("""
        from fastapi import FastAPI
        from fastapi_async_sqlalchemy import SQLAlchemyMiddleware
        from app.config import settings

        app = FastAPI()
        app.add_middleware(SQLAlchemyMiddleware, db_url=settings.url, engine_args={"echo": False})  # found
        other = FastAPI()
        other.add_middleware(SQLAlchemyMiddleware, db_url=settings.url, engine_args={"pool_size": 5})
        # file: app/config.py
        class Settings:
            url: str

        settings = Settings()
    """),
    Good("""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool
        from app.config import settings

        engine = create_engine(settings.database_url, pool_size=settings.pool_size)
        reader = create_engine(settings.database_url, poolclass=NullPool)
        other = create_engine(settings.database_url, **settings.options)
        local = create_engine("sqlite:///app.db")
        # file: app/config.py
        class Settings:
            database_url: str
            pool_size: int

        settings = Settings()
    """),
    Good(
        """
        from pathlib import Path
        from sqlalchemy import create_engine
        from sqlalchemy.ext.asyncio import create_async_engine
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            database_url: str = "sqlite:///app.db"

        FILE = Path("app.db")
        URL = f"sqlite:///{FILE}"
        files = create_engine(URL)
        memory = create_async_engine(url="sqlite+aiosqlite://")
        joined = create_engine("sqlite:///" + str(FILE))
    """,
        "SQLite by whatever way its URL is written",
    ),
    Good(
        """
        # file: app/main.py
        from sqlalchemy import create_engine as make
        from app.search import create_engine
        from app.config import settings

        OPTIONS = {"pool_size": 5, "max_overflow": 0}
        search = create_engine(settings.index)
        engine = make(settings.database_url, **OPTIONS)

        def counted():
            once = make(settings.database_url)
            with once.connect() as connection:
                connection.exec_driver_sql("select 1")
            once.dispose()
        # file: app/search.py
        def create_engine(index): ...
        # file: app/config.py
        class Settings:
            database_url: str
            index: str

        settings = Settings()
        # file: tests/conftest.py
        from sqlalchemy import create_engine
        from app.config import settings

        engine = create_engine(settings.database_url)
    """,
        "an engine of something else, of tests or of a command that disposes of it, and options that another name brings",
    ),
]
