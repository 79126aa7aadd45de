"""Which library calls leave the process, and for where: the kind of resource, and its name as far as the sources tell.

Paths are as in `fastness.tool.project.names.values.External`. Making a client is no contact; using it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import FunctionValue
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, Scope, argument, dotted
from fastness.tool.servicemap.model import Resource

DATABASE, CACHE, HTTP, JOBS, BROKER = "database", "cache", "http", "jobs", "broker"
SEARCH, STORAGE, MAIL, PROCESS, FILES = "search", "storage", "mail", "process", "files"
UNTOLD = "address given to "  # a module: who is called is told at run time there
KINDS = (DATABASE, CACHE, SEARCH, STORAGE, HTTP, MAIL, JOBS, BROKER, PROCESS, FILES)

_VERBS = "get|post|put|patch|delete|head|options|request|send|stream|ws_connect"
_CLIENTS = r"(?:requests\.Session|httpx2?\.(?:Async)?Client|aiohttp\.ClientSession|fastness\.outbound\.Upstream)\(\)"
# A name that is None is told by the call itself, see `_NAMED`.
_PATTERNS: tuple[tuple[str, str | None, str], ...] = (
    (DATABASE, "sql", r"sqlalchemy\.(?:orm\.(?:Session|scoped_session)|(?:ext\.asyncio\.Async)?(?:Connection|Engine))\(\)\..+"),
    (DATABASE, "sql", r"sqlalchemy\.ext\.asyncio\.(?:AsyncSession|async_scoped_session)\(\)\..+"),
    (DATABASE, "sql", r"sqlalchemy\.orm\.sessionmaker\(\)\.(?:execute|query|scalars?|commit)"),
    (DATABASE, "sql", r"fastness\.database\.(?:UnitOfWork|Database)\(\)\..+|fastness\.idempotency\.records\..+"),
    (DATABASE, "sql", r"(?:databases\.Database|tortoise|ormar|peewee|gino|pandas\.read_sql)\b.*"),
    (DATABASE, "postgresql", r"(?:asyncpg|psycopg2?|psycopg_pool|aiopg)\.(?:connect|create_pool|.*\(\)\..+)"),
    (DATABASE, "mysql", r"(?:pymysql|MySQLdb|aiomysql|asyncmy|mysql\.connector)\.(?:connect|.*\(\)\..+)"),
    (DATABASE, "sqlite", r"(?:sqlite3|aiosqlite)\.(?:connect|.*\(\)\..+)"),
    (DATABASE, "mongodb", r"(?:pymongo|motor)\..*\(\)\..+|(?:beanie|mongoengine|odmantic)\..+"),
    (DATABASE, "dynamodb", r"aioboto3\.dynamodb\..+"),
    (DATABASE, "neo4j", r"neo4j\..*\(\)\..+"),
    (DATABASE, "clickhouse", r"clickhouse_(?:connect|driver)\..*\(\)\..+"),
    (DATABASE, "duckdb", r"duckdb\.(?:connect|.*\(\)\..+)"),
    (DATABASE, "cassandra", r"cassandra\..*\(\)\.execute\w*"),
    (CACHE, "redis", r"(?:redis|aioredis|fakeredis)\.(?:asyncio\.)?\w+\(\)\.(?!from_url$)[\w.()]+"),
    (CACHE, "memcached", r"(?:pymemcache|aiomcache|pylibmc)\..*\(\)\..+"),
    (CACHE, "cache", r"(?:fastapi_cache|aiocache|fastness\.cache)\..*(?:get|set|delete|clear|invalidate)\w*"),
    (SEARCH, "elasticsearch", r"elasticsearch\..*\(\)\..+"),
    (SEARCH, "opensearch", r"opensearchpy\..*\(\)\..+"),
    (SEARCH, "meilisearch", r"meilisearch\w*\..*\(\)\..+"),
    (SEARCH, "typesense", r"typesense\..*\(\)\..+"),
    (SEARCH, "vectors", r"(?:qdrant_client|pinecone|weaviate|chromadb|pymilvus)\..*\(\)\..+"),
    (SEARCH, "vectors", r"langchain\w*(?:\.\w+)*\.(?:PGVector|\w*VectorStore\w*)\(\)\..+"),
    (STORAGE, None, r"(?:aio)?boto(?:3|core)\.(?:Session\(\)\.)?(?:client|resource)\(\)\.(?!exceptions|meta|close$).+"),
    (STORAGE, "minio", r"minio\.Minio\(\)\..+"),
    (STORAGE, "gcs", r"google\.cloud\.storage\..*\(\)\..+"),
    (STORAGE, "azure blob", r"azure\.storage\..*\(\)\..+"),
    (STORAGE, "cloudinary", r"cloudinary\.uploader\..+"),
    (MAIL, "smtp", r"(?:smtplib|aiosmtplib)\..+|fastapi_mail\.FastMail\(\)\..+|emails\..*\.send|redmail\..+"),
    (MAIL, "imap", r"imaplib\..+"),
    (HTTP, "stripe", r"stripe\.(?!(?:error|Webhook|api_key)\b)(?:\w+(?:\(\))?\.)+\w+"),
    (HTTP, "openai", r"(?:openai\.|langchain_openai\.).*\.(?:create|generate|parse|retrieve|list|a?invoke|a?stream)"),
    (HTTP, "anthropic", r"anthropic\..*\(\)\..+"),
    (HTTP, "litellm", r"litellm\.(?:a?completion|a?embedding)"),
    (HTTP, "twilio", r"twilio\..*\(\)\..+"),
    (HTTP, "sendgrid", r"(?:sendgrid|python_http_client)\..*\.(?:send|post)"),
    (HTTP, "resend", r"resend\.\w+\.\w+"),
    (HTTP, "slack", r"slack_(?:sdk|bolt)\..*\(\)\..+"),
    (HTTP, "supabase", r"supabase\..*\(\)\..+"),
    (HTTP, "firebase", r"firebase_admin\.(?:auth|messaging|firestore|storage)\..+"),
    (HTTP, "github", r"(?:github|githubkit|gidgethub)\..*\(\)\..+"),
    (HTTP, "kubernetes", r"kubernetes(?:_asyncio)?\.client\.\w*Api\(\)\..+"),
    (HTTP, "docker", r"docker\.(?:from_env|DockerClient)\(\)\..+"),
    (HTTP, "vault", r"hvac\..*\(\)\..+"),
    (HTTP, "keycloak", r"keycloak\..*\(\)\..+"),
    (HTTP, "ldap", r"ldap3?\..*\(\)\..+"),
    (HTTP, "posthog", r"posthog\.(?:\w+\(\)\.)?(?:capture|identify|flush|group_identify)"),
    (HTTP, "google cloud", r"google\.cloud\.(?!storage)[\w.]+\(\)\..+|googleapiclient\..*\.execute"),
    (HTTP, None, rf"(?:requests|httpx2?)\.(?:{_VERBS})|{_CLIENTS}\.(?:{_VERBS})|aiohttp\.request"),
    (HTTP, None, r"urllib\.request\.(?:urlopen|urlretrieve)|urllib3\.(?:request|PoolManager\(\)\.(?:request|urlopen))"),
    (HTTP, None, r"(?:websockets|websocket)\.(?:connect|create_connection)"),
    (JOBS, None, r"fastness\.jobs\.Jobs\(\)\.enqueue\w*|(?:arq|rq|saq|taskiq|procrastinate)\..*\(\)\.(?:enqueue|defer)\w*"),
    (JOBS, None, r"celery\.Celery\(\)\.send_task|arq\..*\.enqueue_job|celery\.(?:group|chain|chord)\(\).*"),
    (BROKER, "kafka", r"(?:aiokafka|kafka|confluent_kafka)\..*\(\)\.(?:send|produce|poll|consume|getone|flush)\w*"),
    (BROKER, "rabbitmq", r"(?:aio_pika|pika|kombu)\..*\(\)\..+|aio_pika\.connect\w*"),
    (BROKER, "nats", r"nats\..*\(\)\.(?:publish|request|subscribe)"),
    (BROKER, "mqtt", r"(?:paho\.mqtt|aiomqtt|asyncio_mqtt)\..*\(\)\.(?:publish|subscribe)"),
    (BROKER, "pub/sub", r"fastapi_websocket_pubsub\..*\(\)\.(?:publish|subscribe|broadcast)\w*|broadcaster\..*\(\)\..+"),
    (PROCESS, None, r"subprocess\.(?:run|call|check_call|check_output|getoutput|Popen)|os\.(?:system|popen|execv\w*)"),
    (PROCESS, None, r"asyncio\.create_subprocess_(?:exec|shell)|anyio\.(?:run|open)_process"),
    (PROCESS, "git", r"git\.Repo(?:\(\))?\..+"),
    (PROCESS, "pandoc", r"pypandoc\.convert_\w+"),
    (PROCESS, "ffmpeg", r"ffmpeg\..*\.run|ffmpeg\.probe"),
    (FILES, "local files", r"(?:io\.|aiofiles\.)?open|aiofiles\.os\.\w+|anyio\.open_file"),
    (FILES, "local files", r"(?:anyio|pathlib)\.Path\(\)\.(?:(?:read|write)_\w+|open|unlink|mkdir|rmdir|rename|touch)"),
    (FILES, "local files", r"shutil\.(?:copy\w*|move|rmtree|(?:un|make_)\w+)|os\.(?:remove|unlink|rename|makedirs|mkdir)"),
    (FILES, "local files", r"fastapi\.responses\.FileResponse|starlette\.responses\.FileResponse"),
)  # fmt: skip
_COMPILED = [(kind, name, re.compile(pattern)) for kind, name, pattern in _PATTERNS]
_TASK = re.compile(
    r"fastness\.jobs\.task(?:\(\))?|celery\.shared_task(?:\(\))?|celery\.Celery\(\)\.task(?:\(\))?|dramatiq\.actor(?:\(\))?"
    r"|procrastinate\.\w+\(\)\.(?:task|periodic)(?:\(\))?|taskiq\w*\..*\.task(?:\(\))?|huey\..*\.(?:periodic_)?task(?:\(\))?"
    r"|(?:rq|streaq|saq)\..*\.?(?:job|task)(?:\(\))?"
)
_SENDS_JOB = ("delay", "apply_async", "send", "send_with_options", "defer", "defer_async", "kiq", "enqueue", "s", "si")


@cache
def _known(path: str) -> tuple[str, str | None] | None:
    return next(((kind, name) for kind, name, pattern in _COMPILED if pattern.fullmatch(path)), None)


def of_call(service: Service, call: Outward) -> Resource | None:
    """The resource that a call to a library uses, None when it stays in the process."""
    known = _known(call.target.path)
    if known is None:
        return None
    kind, name = known
    return Resource(kind, _NAMED[kind](service, call)) if name is None else of_path(service, call.target.path)


def of_path(service: Service, path: str) -> Resource | None:
    """The same for a path alone, where no call says more."""
    known = _known(path)
    if known is None or known[1] is None:
        return None
    return Resource(known[0], _dialect(service) if known[1] == "sql" else known[1])


def is_task(service: Service, function: Function) -> bool:
    """Workers run the function."""
    paths = (path for node in function.decorators for path in service.resolver.paths(node, function.parent))
    return any(_TASK.fullmatch(path) for path in paths)


def job_of(service: Service, site: CallSite) -> Function | None:
    """The task that a call like `send_mail.delay(...)` has workers run."""
    called = site.node.func
    if site.name not in _SENDS_JOB or not isinstance(called, ast.Attribute):
        return None
    for value in service.resolver.infer(called.value, site.scope):
        if isinstance(value, FunctionValue) and is_task(service, value.definition):
            return value.definition
    return None


# -- names


def _dialect(service: Service) -> str:
    """The one dialect of the project's engines; `sql` when there are several, or none can be read."""
    if service not in _KNOWN_DIALECTS:
        sites = [site for m in service.project.service for name in _ENGINES for site in m.calls_by_name.get(name, ())]
        urls = ((site.argument("url", 0), site.scope) for site in sites)
        texts = (literals.text(service.resolver, url, scope) or "" for url, scope in urls if url is not None)
        found = {re.split(r"[:+]", text)[0] for text in texts} & _DIALECTS
        _KNOWN_DIALECTS[service] = found.pop() if len(found) == 1 else "sql"
    return _KNOWN_DIALECTS[service]


_ENGINES = ("create_engine", "create_async_engine")
_DIALECTS = {"postgresql", "postgres", "mysql", "mariadb", "sqlite", "mssql", "oracle", "cockroachdb"}
_KNOWN_DIALECTS: WeakKeyDictionary[Service, str] = WeakKeyDictionary()


def _upstream(service: Service, call: Outward) -> str:
    """The host, else the setting that holds it, else the module that asks: who is called is told at run time there."""
    method = call.target.path.rpartition(".")[2]
    url = call.site.argument("url", 1 if method in {"request", "stream"} else 0)
    made = call.target.call if "()." in call.target.path else None
    if made is not None:
        named = argument(made[0], "name", 0) if ".Upstream()" in call.target.path else None
        if isinstance(named, ast.Constant) and isinstance(named.value, str):
            return named.value
    found = _address(service, url, call.site.scope)
    if found is None and made is not None:
        found = _address(service, argument(made[0], "base_url"), made[1])
    return found or f"{UNTOLD}{_module(call.site.scope).name or _module(call.site.scope).path}"


def _address(service: Service, node: ast.expr | None, scope: Scope) -> str | None:
    """The host of a URL, or the expression that it begins with."""
    if node is None:
        return None
    text = literals.text(service.resolver, node, scope)
    if text is not None:
        return urlsplit(text).hostname if "://" in text else None
    found, holder = literals.origin(service.resolver, node, scope)
    while True:
        if isinstance(found, ast.BinOp):
            found = found.left
        elif isinstance(found, ast.JoinedStr) and found.values:
            found = found.values[0]
        elif isinstance(found, ast.FormattedValue):
            found = found.value
        elif isinstance(found, ast.Call) and isinstance(found.func, ast.Attribute) and found.func.attr in _KEEP:
            found = found.func.value
        elif isinstance(found, ast.Call) and found.args and isinstance(found.func, ast.Name):
            found = found.args[0]  # `str(settings.url)`, `urljoin(base, path)`
        else:
            break
    variable = _variable(service, found, holder)
    if variable is not None:
        return f"${variable}"
    if isinstance(found, ast.Constant) and isinstance(found.value, str):
        matched = re.match(r"\w+://([\w.-]+)([/:?]?)", found.value)
        cut = matched is not None and not matched[2] and matched[1].endswith((".", "-"))
        return f"{matched[1]}{'*' if cut else ''}" if matched else None
    if isinstance(found, ast.Name | ast.Attribute) and found is not node:
        return _address(service, found, holder) or _setting(found)
    return _setting(found) if isinstance(found, ast.Attribute | ast.Name) else None


def _variable(service: Service, node: ast.expr, scope: Scope) -> str | None:
    """The environment variable that an expression reads."""
    named: ast.expr | None = None
    if isinstance(node, ast.Subscript) and "os.environ" in service.resolver.paths(node.value, scope):
        named = node.slice
    elif isinstance(node, ast.Call) and service.resolver.paths(node.func, scope) & {"os.getenv", "os.environ.get"}:
        named = argument(node, "key", 0)
    return named.value if isinstance(named, ast.Constant) and isinstance(named.value, str) else None


_KEEP = ("rstrip", "strip", "format", "removesuffix", "get_secret_value", "unicode_string", "join")


def _setting(node: ast.expr) -> str | None:
    """`settings.PAYMENTS_URL`: a name that says whose address it holds. A local `url` says nothing."""
    text = dotted(node).removeprefix("self.").lstrip("_")
    last = text.rpartition(".")[2]
    telling = last.isupper() or (isinstance(node, ast.Attribute) and _HOLDS_ADDRESS.fullmatch(last))
    return text if telling and not _ANYBODYS.fullmatch(last) else None


_HOLDS_ADDRESS = re.compile(r"\w*[a-z0-9]_(?:base_)?(?:url|uri|host|endpoint|address)", re.IGNORECASE)
_ANYBODYS = re.compile(r"_*(?:base|api|full|request|target|server|service|endpoint)_(?:ur[li]|host|address)", re.IGNORECASE)


def _aws(service: Service, call: Outward) -> str:
    made = call.target.call
    named = argument(made[0], "service_name", 0) if made is not None else None
    text = literals.text(service.resolver, named, made[1]) if named is not None and made is not None else None
    return text or "aws"


def _job(service: Service, call: Outward) -> str:
    """The task that is given, by function or by name."""
    for given in call.site.node.args:
        for value in service.resolver.infer(given, call.site.scope):
            if isinstance(value, FunctionValue):
                return value.definition.name
    named = call.site.node.args[0] if call.site.node.args else None
    text = literals.text(service.resolver, named, call.site.scope) if named is not None else None
    return text or "jobs"


def _program(service: Service, call: Outward) -> str:
    """The first word of what is run."""
    given = call.site.argument("args", 0)
    if given is not None:
        given, _ = literals.origin(service.resolver, given, call.site.scope)
    first = given.elts[0] if isinstance(given, ast.List | ast.Tuple) and given.elts else given
    if isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    return text.split()[0] if text.split() else "a program"


_NAMED: dict[str, Callable[[Service, Outward], str]] = {HTTP: _upstream, STORAGE: _aws, JOBS: _job, PROCESS: _program}


def _module(scope: Scope) -> Module:
    return scope if isinstance(scope, Module) else scope.module
