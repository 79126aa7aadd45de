"""The database pool has the library's default size.

SQLAlchemy keeps five connections per process and lets ten more overflow, whatever the database allows: ten replicas with
four workers may open 600, and PostgreSQL refuses the 101st. Too small a pool makes requests wait half a minute, then fail.

Set `pool_size` and `max_overflow` from settings: replicas x workers x (size + overflow) must fit `max_connections`.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service, literals
from fastness.tool.project.symbols import CallSite, Function
from fastness.tool.project.values import External

_ENGINES = ("sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine")
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
    if len(sized) > 2:
        first, *others = sized
        evidence = [proof(site.scope, site.node, "another pool in the same project") for site in others]
        yield found(
            first.scope, first.node, f"{len(sized)} engines have pools of their own: their connections add up", *evidence
        )


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
