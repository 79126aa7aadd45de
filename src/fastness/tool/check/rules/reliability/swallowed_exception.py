"""An exception is swallowed where requests are answered.

`except Exception: pass` around a query turns every fault, a lost connection or a misspelt column, into an empty answer
with status 200. Nothing is logged, no alert fires, and the client stores the emptiness.

Catch what you expect, by its type; let the rest reach the error handler, or log it with its traceback.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.handlers import is_broad
from fastness.tool.check.knowledge.reach import from_requests
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.symbols import Function, last_name
from fastness.tool.project.walk import own

_PROBE = re.compile(r"health|ready|readiness|livez|liveness|alive|heartbeat|(?:^|_)(?:ping|probe)(?:_|$)", re.IGNORECASE)
_WORDS = 5  # a directive for a linter, or "ignore errors", explains nothing
_CLEANUP = frozenset(
    [
        "close",
        "aclose",
        "disconnect",
        "logout",
        "shutdown",
        "cancel",
        "terminate",
        "kill",
        "unlink",
        "remove",
        "rmtree",
        "rollback",
        "release",
        "dispose",
        "quit",
        "stop",
        "wait_closed",
        "expunge",
        "delete_file",
        "send_json",
        "expire",
    ]
)
_READS = frozenset(
    [
        "execute",
        "scalar",
        "scalars",
        "get",
        "query",
        "commit",
        "flush",
        "refresh",
        "all",
        "first",
        "one",
        "fetch",
        "fetchone",
        "fetchall",
        "post",
        "put",
        "request",
        "send",
        "find_one",
        "insert",
        "update",
        "table",
    ]
)


@rule(
    severity=Severity.WARNING,
    practice="5.3",
    help="catch what you expect by its type, and let the rest reach the error handler",
)
def check(service: Service) -> Iterator[Found]:
    reached = from_requests(service)
    for module in service.project.service:
        for function in module.functions:
            if function in reached and not _PROBE.search(function.name):
                yield from _of(function)


def _of(function: Function) -> Iterator[Found]:
    for node in function.nodes:
        if isinstance(node, ast.Try) and _does_real_work(function, node):
            for handler in node.handlers:
                if is_broad(handler) and (how := _swallows(handler)) and not _is_explained(function, handler):
                    yield found(function, handler, f"{function.qualified} swallows every exception: {how}")


def _swallows(handler: ast.ExceptHandler) -> str | None:
    if len(handler.body) != 1:
        return None
    only = handler.body[0]
    if isinstance(only, ast.Pass) or (isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)):
        return "nothing is logged, nothing is raised"
    if (
        isinstance(only, ast.Return)
        and isinstance(only.value, ast.List | ast.Dict)
        and not ast.unparse(only.value).strip("[]{}")
    ):
        return "it returns an empty answer instead"
    return None


def _is_explained(function: Function, handler: ast.ExceptHandler) -> bool:
    """A comment of some words says why nothing has to be done."""
    lines = function.module.lines[handler.lineno - 1 : handler.end_lineno]
    return any(len(line.partition("#")[2].split()) >= _WORDS for line in lines)


def _does_real_work(function: Function, node: ast.Try) -> bool:
    """Something whose failure matters happens inside; clean-up may fail."""
    calls = (inner for inner in own(node.body) if isinstance(inner, ast.Call) and not _looks_up(function, inner))
    called = {last_name(call) for call in calls}
    if not called:
        # Attributes of attributes: with an ORM, each step can be a query.
        return sum(isinstance(inner, ast.Attribute) for inner in own(node.body)) >= 3
    return bool(called & _READS) and not called & _CLEANUP


def _looks_up(function: Function, call: ast.Call) -> bool:
    """`NAMES.get(key)`, `request.headers.get(key)` and `answer.update(...)` of a table that is made here ask nobody outside."""
    if not isinstance(call.func, ast.Attribute):
        return False
    of = call.func.value
    bindings = function.bindings.get(of.id, ()) if isinstance(of, ast.Name) else ()
    if bindings and all(isinstance(binding.value, ast.Dict | ast.Set | ast.List) for binding in bindings):
        return True
    name = last_name(of) if call.func.attr == "get" else ""
    return name.isupper() or name in {"headers", "cookies", "query_params", "environ"}


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()

        def load(db):
            try:
                return db.query(1).all()
            except Exception:  # found
                return []

        @app.get("/")
        def root(db=None):
            try:
                db.execute("select 1")
            except:  # found
                pass
            return load(db)
    """),
    Good("""
        import logging
        from fastapi import FastAPI

        app = FastAPI()

        def script(db):
            try:
                db.execute("select 1")
            except Exception:
                pass

        @app.get("/")
        def root(db=None):
            try:
                db.execute("select 1")
            except ValueError:
                pass
            try:
                db.execute("select 1")
            except Exception:
                logging.exception("no database")
            try:
                db.close()
            except Exception:
                pass
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        @app.post("/reports")
        def send(db=None):
            try:
                db.execute("insert into sent values (1)")
            except Exception:
                # The mail has gone out; a missing note of that must not undo it.
                pass
    """,
        "somebody has thought about it, and says what",
    ),
    Good(
        """
        from fastapi import FastAPI, Response

        app = FastAPI()

        @app.get("/healthz")
        def health(response: Response, db=None):
            up = False
            try:
                db.execute("select 1")
                up = True
            except Exception:
                pass
            response.status_code = 200 if up else 503
            return {"up": up}
    """,
        "a probe says with its status what it caught",
    ),
    Good(
        """
        import os
        from fastapi import FastAPI, Request

        app = FastAPI()
        EVENTS = {"read": "item_read"}

        def track(name): ...

        @app.get("/items")
        def items(request: Request):
            try:
                track(EVENTS.get(request.headers.get("x-event")))
            except Exception:
                pass
            machine = {"load": 0.0}
            try:
                machine.update(load=os.getloadavg()[0])
            except Exception:
                pass
            return machine
    """,
        "what is asked or changed is a table in memory, and what may fail is telemetry",
    ),
]
