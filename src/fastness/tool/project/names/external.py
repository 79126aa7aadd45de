"""What is known about libraries: names under which one thing is reached, and what their calls return.

A path is as in `values.External`. Both tables only shorten and rename; which of these things block, cost or leak is for
the rules to say.
"""

from __future__ import annotations

from functools import cache

# The same thing under other names; the first component alone stands for a whole package.
_SAME = {
    "sqlmodel.Session": "sqlalchemy.orm.Session",
    "fastapi_sqlalchemy.db.session": "sqlalchemy.orm.Session()",
    "fastapi_async_sqlalchemy.db.session": "sqlalchemy.ext.asyncio.AsyncSession()",
    "sqlmodel.orm.session.Session": "sqlalchemy.orm.Session",
    "sqlalchemy.orm.session.Session": "sqlalchemy.orm.Session",
    "sqlalchemy.orm.session.sessionmaker": "sqlalchemy.orm.sessionmaker",
    "sqlalchemy.orm.scoping.scoped_session": "sqlalchemy.orm.scoped_session",
    "sqlmodel.create_engine": "sqlalchemy.create_engine",
    "sqlalchemy.engine.create_engine": "sqlalchemy.create_engine",
    "sqlalchemy.engine.Engine": "sqlalchemy.Engine",
    "sqlalchemy.engine.base.Engine": "sqlalchemy.Engine",
    "sqlalchemy.engine.Connection": "sqlalchemy.Connection",
    "sqlalchemy.engine.base.Connection": "sqlalchemy.Connection",
    "sqlalchemy.future.Engine": "sqlalchemy.Engine",
    "sqlmodel.ext.asyncio.session.AsyncSession": "sqlalchemy.ext.asyncio.AsyncSession",
    "sqlalchemy.ext.asyncio.session.AsyncSession": "sqlalchemy.ext.asyncio.AsyncSession",
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": "sqlalchemy.ext.asyncio.AsyncEngine",
    "sqlalchemy.ext.declarative.declarative_base": "sqlalchemy.orm.declarative_base",
    "sqlmodel.select": "sqlalchemy.select",
    "sqlalchemy.future.select": "sqlalchemy.select",
    "sqlalchemy.sql.select": "sqlalchemy.select",
    "sqlmodel.main.SQLModel": "sqlmodel.SQLModel",
    "requests.api.get": "requests.get",
    "requests.sessions.Session": "requests.Session",
    "requests.session": "requests.Session",
    "redis.client.Redis": "redis.Redis",
    "redis.StrictRedis": "redis.Redis",
    "redis.asyncio.client.Redis": "redis.asyncio.Redis",
    "aioredis.Redis": "redis.asyncio.Redis",
    "aioredis.from_url": "redis.asyncio.from_url",
    "supabase.client.Client": "supabase.Client",
    "supabase._sync.client.SyncClient": "supabase.Client",
    "supabase._async.client.AsyncClient": "supabase.AsyncClient",
    "supabase.AClient": "supabase.AsyncClient",
    "tortoise.Model": "tortoise.models.Model",
    "fastapi.applications.FastAPI": "fastapi.FastAPI",
    "fastapi.routing.APIRouter": "fastapi.APIRouter",
    "fastness.versioning.Version().router": "fastapi.APIRouter",
    "fastness.database.CurrentUnit": "fastness.database.UnitOfWork",
    "fastapi.param_functions.Depends": "fastapi.Depends",
    "fastapi.params.Depends": "fastapi.Depends",
    "fastapi.params.Security": "fastapi.Security",
    "fastapi.exceptions.HTTPException": "fastapi.HTTPException",
    "starlette.exceptions.HTTPException": "fastapi.HTTPException",
    "fastapi.requests.Request": "fastapi.Request",
    "starlette.requests.Request": "fastapi.Request",
    "starlette.websockets.WebSocket": "fastapi.WebSocket",
    "fastapi.background.BackgroundTasks": "fastapi.BackgroundTasks",
    "starlette.background.BackgroundTasks": "fastapi.BackgroundTasks",
    "starlette.background.BackgroundTask": "starlette.background.BackgroundTask",
    "fastapi.datastructures.UploadFile": "fastapi.UploadFile",
    "starlette.datastructures.UploadFile": "fastapi.UploadFile",
    "fastapi.middleware.cors.CORSMiddleware": "starlette.middleware.cors.CORSMiddleware",
    "fastapi.middleware.Middleware": "starlette.middleware.Middleware",
    "starlette.responses.Response": "fastapi.responses.Response",
    "fastapi.Response": "fastapi.responses.Response",
    "starlette.responses.JSONResponse": "fastapi.responses.JSONResponse",
    "fastapi.concurrency.run_in_threadpool": "starlette.concurrency.run_in_threadpool",
    "typing_extensions.Annotated": "typing.Annotated",
    "pydantic.v1.BaseModel": "pydantic.BaseModel",
    "pydantic.main.BaseModel": "pydantic.BaseModel",
    "pydantic.BaseSettings": "pydantic_settings.BaseSettings",
    "pydantic.v1.BaseSettings": "pydantic_settings.BaseSettings",
    "pydantic_settings.main.BaseSettings": "pydantic_settings.BaseSettings",
    "asyncio.tasks.create_task": "asyncio.create_task",
}

# What a call returns, where it is not simply "an instance of what was called".
_RETURNS = {
    "sqlalchemy.create_engine()": "sqlalchemy.Engine()",
    "sqlalchemy.engine_from_config()": "sqlalchemy.Engine()",
    "sqlalchemy.ext.asyncio.create_async_engine()": "sqlalchemy.ext.asyncio.AsyncEngine()",
    "sqlalchemy.ext.asyncio.async_sessionmaker()()": "sqlalchemy.ext.asyncio.AsyncSession()",
    "sqlalchemy.ext.asyncio.async_scoped_session()()": "sqlalchemy.ext.asyncio.AsyncSession()",
    "sqlalchemy.orm.sessionmaker()()": "sqlalchemy.orm.Session()",
    "sqlalchemy.orm.sessionmaker().begin()": "sqlalchemy.orm.Session()",
    "sqlalchemy.orm.scoped_session()()": "sqlalchemy.orm.Session()",
    "sqlalchemy.orm.sessionmaker[]()": "sqlalchemy.orm.Session()",
    "sqlalchemy.Engine().connect()": "sqlalchemy.Connection()",
    "sqlalchemy.Engine().begin()": "sqlalchemy.Connection()",
    "sqlalchemy.Engine().raw_connection()": "sqlalchemy.Connection()",
    "sqlalchemy.Engine().execution_options()": "sqlalchemy.Engine()",
    "sqlalchemy.orm.Session().connection()": "sqlalchemy.Connection()",
    "sqlalchemy.orm.object_session()": "sqlalchemy.orm.Session()",
    "fastapi_utils.session.FastAPISessionMaker().get_db()": "sqlalchemy.orm.Session()",
    "fastapi_utils.session.FastAPISessionMaker().context_session()": "sqlalchemy.orm.Session()",
    "fastness.database.create_engine()": "sqlalchemy.ext.asyncio.AsyncEngine()",
    "fastness.database.Database().engine": "sqlalchemy.ext.asyncio.AsyncEngine()",
    "fastness.database.Database().unit()": "fastness.database.UnitOfWork()",
    "fastness.database.UnitOfWork().reading()": "fastness.database.UnitOfWork()",
    "fastness.database.UnitOfWork().session": "sqlalchemy.ext.asyncio.AsyncSession()",
    "supabase.create_client()": "supabase.Client()",
    **dict.fromkeys(
        ("supabase.acreate_client()", "supabase.create_async_client()", "supabase._async.client.create_client()"),
        "supabase.AsyncClient()",
    ),
    "redis.from_url()": "redis.Redis()",
    "redis.Redis.from_url()": "redis.Redis()",
    "redis.asyncio.from_url()": "redis.asyncio.Redis()",
    "redis.asyncio.Redis.from_url()": "redis.asyncio.Redis()",
    "smtplib.SMTP_SSL()": "smtplib.SMTP()",
    "pathlib.Path.cwd()": "pathlib.Path()",
    "pathlib.Path.home()": "pathlib.Path()",
    "pathlib.Path().resolve()": "pathlib.Path()",
    "pathlib.Path().absolute()": "pathlib.Path()",
    "pathlib.Path().expanduser()": "pathlib.Path()",
    "pathlib.Path().joinpath()": "pathlib.Path()",
    "pathlib.Path().with_name()": "pathlib.Path()",
    "pathlib.Path().with_suffix()": "pathlib.Path()",
    "pathlib.Path().parent": "pathlib.Path()",
    "pathlib.Path()./": "pathlib.Path()",
    "logging.getLogger()": "logging.Logger()",
    "asyncio.get_event_loop()": "asyncio.loop",
    "asyncio.get_running_loop()": "asyncio.loop",
    "asyncio.new_event_loop()": "asyncio.loop",
    "boto3.session.Session()": "boto3.Session()",
    "boto3.Session().client()": "boto3.client()",
    "boto3.Session().resource()": "boto3.resource()",
    "pymongo.mongo_client.MongoClient()": "pymongo.MongoClient()",
    "psycopg2.connect()": "psycopg2.connection()",
    "psycopg.connect()": "psycopg.Connection()",
    "sqlite3.connect()": "sqlite3.Connection()",
}

# Methods that return the object itself: `Session().__enter__()` and chains that only configure.
_SELF = frozenset({"__enter__()", "__aenter__()"})


@cache
def canonical(path: str) -> str:
    """The one path under which a thing is known."""
    known = _SAME.get(path)
    if known:
        return known
    head, dot, last = path.rpartition(".")
    if dot and last in _SELF:
        return canonical(head)
    if path.endswith("[]"):
        return canonical(path[:-2])
    returned = _RETURNS.get(path)
    if returned:
        return returned
    return path
