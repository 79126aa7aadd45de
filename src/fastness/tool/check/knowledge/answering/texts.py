"""The text of an exception in code: what is made of it, where it is put, and who is told."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from fastness.tool.check.knowledge.answering.responses import CONVERTED, CONVERTS, filled
from fastness.tool.project.source.symbols import Function, constant, handed_on, last_name, values
from fastness.tool.project.source.walk import own, walk

# Exceptions of libraries whose text speaks of the inside.
INTERNAL = (
    "SQLAlchemyError", "IntegrityError", "OperationalError", "DatabaseError", "DBAPIError", "ProgrammingError",
    "OSError", "IOError", "KeyError", "AttributeError", "TypeError", "RuntimeError", "ConnectionError", "ClientError",
    "RequestException", "ImportError", "ModuleNotFoundError",
)  # fmt: skip
# Libraries that speak with other services and the machine: addresses, commands, ids and answers stand in their texts.
_OUTWARD = re.compile(
    r"(?:httpx2?|requests|aiohttp|urllib3?|redis|pymongo|motor|neo4j|elasticsearch|opensearchpy|asyncpg|psycopg2?|pymysql|aiomysql"
    r"|aiosqlite|oracledb|botocore|boto3|aiobotocore|minio|google|googleapiclient|azure|firebase_admin|stripe|razorpay|braintree"
    r"|paypalrestsdk|twilio|sendgrid|openai|anthropic|cohere|mistralai|replicate|langchain\w*|qdrant_client|chromadb|pinecone|weaviate"
    r"|grpc|kafka|aiokafka|confluent_kafka|pika|aio_pika|aiormq|nats|kombu|celery|docker|kubernetes|paramiko|asyncssh|influxdb_client"
    r"|subprocess|smtplib|aiosmtplib|socket|ssl|ldap3?|hvac|consul|influxdb)\..*"
)
# What the client's own input was refused for, or what is told to who pays.
_MEANT = re.compile(r"Card|Signature|Invalid|Validation|Decode|NotFound|DoesNotExist|BadRequest|NoResult")
_LOGS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical"})
_FOR_DEVELOPERS = re.compile(r"(?:\b|_)(?:debug|dev|develop|development|local|test|testing)(?:\b|_)", re.IGNORECASE)
_PRODUCTION = re.compile(r"(?:\b|_)prod(?:uction)?(?:\b|_)", re.IGNORECASE)
_CALLED = frozenset({"str", "repr", "format", "traceback.format_exception"})


def is_outward(path: str) -> bool:
    """This class of a library is an exception whose text speaks of another service or of the machine."""
    return _OUTWARD.fullmatch(path) is not None and not _MEANT.search(path.rpartition(".")[2])


Names: TypeAlias = Mapping[str, ast.AST | None]
"""Names that tell: of an exception, or of what holds its text, with the statement that put it there."""


def may_tell(call: ast.Call, names: Names) -> bool:
    """Some of these names are handed on, and not to a log: asked before what is called is looked up."""
    of = call.func.value if isinstance(call.func, ast.Attribute) else None
    logs = last_name(call) in _LOGS and (of is None or "log" in ast.unparse(of).lower())
    return not logs and any(telling(one, names) is not None for one in handed_on(call))


def is_meant(function: Function, node: ast.AST, exceptions: Collection[str]) -> bool:
    """What happens at the node shows a text to developers only, or that of an exception whose text is meant to be shown."""
    return _is_for_developers(function, node) or _is_of_its_own(function, node, exceptions)


def _is_for_developers(function: Function, node: ast.AST) -> bool:
    """The node stands in the body of an `if settings.debug:`. Below `if not settings.debug:` everybody sees it."""
    line = getattr(node, "lineno", 0)
    return any(
        isinstance(outer, ast.If)
        and outer.body[0].lineno <= line <= (outer.body[-1].end_lineno or 0)
        and _asks_for_developers(outer.test)
        for outer in function.nodes
    )


def _is_of_its_own(function: Function, node: ast.AST, exceptions: Collection[str]) -> bool:
    """The node stands in the body of an `if isinstance(error, OutOfStock):`, which says what is told."""
    line = getattr(node, "lineno", 0)
    return any(
        isinstance(outer, ast.If)
        and outer.body[0].lineno <= line <= (outer.body[-1].end_lineno or 0)
        and isinstance(outer.test, ast.Call)
        and last_name(outer.test) == "isinstance"
        and len(outer.test.args) == 2
        and last_name(outer.test.args[0]) in exceptions
        and last_name(outer.test.args[1]) not in {"", "Exception", "BaseException", *INTERNAL}
        for outer in function.nodes
    )


def _asks_for_developers(test: ast.expr) -> bool:
    said = ast.unparse(test)
    return bool((_PRODUCTION if _is_negated(test) else _FOR_DEVELOPERS).search(said))


def _asks_for_production(test: ast.expr) -> bool:
    return not _is_negated(test) and bool(_PRODUCTION.search(ast.unparse(test)))


def _is_negated(test: ast.expr) -> bool:
    return any(isinstance(one, ast.Not | ast.NotEq | ast.NotIn) for one in walk(test))


def held(
    function: Function, body: Iterable[ast.stmt], exceptions: Collection[str], keeps: Callable[[str], bool]
) -> dict[str, ast.AST | None]:
    """The exceptions, and every name of a body that holds their text: it is given it, or a table or model that has it.

    Args:
        keeps: whether what is put into what a name stands for becomes part of it.
    """
    names: dict[str, ast.AST | None] = dict.fromkeys(exceptions)
    statements = [node for node in own(body) if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr)]
    for node in sorted(statements, key=lambda node: (node.lineno, node.col_offset)):
        into = [*_given(node), *((name, value) for name, value in filled(node) if name in function.bindings and keeps(name))]
        for name, value in into:
            if name not in names and telling(value, names) is not None and not is_meant(function, node, exceptions):
                names[name] = node
    return names


def _given(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement binds, each with its value."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    for target in targets if value is not None else ():
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        yield from ((one.id, given) for one, given in pairs if isinstance(one, ast.Name) and given is not None)


def telling(node: ast.expr, names: Names) -> ast.expr | None:
    """The part of an expression that is the text of one of these names: itself, `str()` of it, or an f-string with it."""
    if isinstance(node, ast.Name):
        return node if node.id in names else None
    if isinstance(node, ast.Call):
        return _telling_call(node, names)
    if isinstance(node, ast.Attribute):
        return node if node.attr in {"args", "orig"} and telling(node.value, names) is not None else None
    if isinstance(node, ast.JoinedStr):
        return (
            node
            if any(isinstance(v, ast.FormattedValue) and telling(v.value, names) is not None for v in node.values)
            else None
        )
    return next((place for part in _parts(node, names) if (place := telling(part, names)) is not None), None)


def _parts(node: ast.expr, names: Names) -> Iterable[ast.expr]:
    """The parts of an expression that are parts of its value."""
    if isinstance(node, ast.Dict | ast.List | ast.Tuple):
        return values(node)
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.IfExp):
        for_all = (*(() if _asks_for_developers(node.test) else (node.body,)), node.orelse)
        return for_all[:1] if _asks_for_production(node.test) else for_all
    if isinstance(node, ast.Subscript):
        key, of = constant(node.slice), node.value
        made = names.get(of.id) if isinstance(of, ast.Name) else None
        return () if isinstance(key, str) and made is not None and not is_under(key, made) else (of,)
    return ()


def is_under(key: str, made: ast.AST) -> bool:
    """What was put into a table or model was put under this key, as far as the statement tells."""
    return any(
        (isinstance(node, ast.Constant) and node.value == key)
        or (isinstance(node, ast.keyword) and node.arg == key)
        or (isinstance(node, ast.Attribute) and node.attr == key)
        for node in walk(made)
    )


def _telling_call(node: ast.Call, names: Names) -> ast.expr | None:
    """`str(error)` is a text, and so is a table or model that has it; a function makes of it what it wants."""
    called, name = ast.unparse(node.func), last_name(node)
    if called == "traceback.format_exc":
        return node
    of = node.func.value if isinstance(node.func, ast.Attribute) else None
    if called in _CALLED or called.endswith((".format", ".join")):
        return node if any(telling(one, names) is not None for one in node.args) else None
    if of is not None and name in CONVERTED:
        inside = [of]
    elif name in CONVERTS or name[:1].isupper() or name == "cls":
        inside = handed_on(node)
        if name not in CONVERTS:  # an object that is given the exception, and not its text, may do with it what it wants
            inside = [one for one in inside if not (isinstance(one, ast.Name) and names.get(one.id, one) is None)]
    else:
        inside = []
    return next((place for one in inside if (place := telling(one, names)) is not None), None)
