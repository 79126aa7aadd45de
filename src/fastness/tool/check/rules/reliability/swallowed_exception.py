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
from fastness.tool.project.symbols import Function, constant, last_name
from fastness.tool.project.walk import own

_PROBE = re.compile(r"health|ready|readiness|livez|liveness|alive|heartbeat|(?:^|_)(?:ping|probe)(?:_|$)", re.IGNORECASE)
_ENDS = re.compile(r"^_*(?:close|clean_?up|teardown|stop|shutdown|discard|dispose|release|disconnect)(?:_|$)")
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
            if function in reached and not _PROBE.search(function.name) and not _ENDS.search(function.name):
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
    if isinstance(only, ast.Expr) and isinstance(only.value, ast.Call) and ast.unparse(only.value.func) == "print":
        return "it is printed, and the client is told that all is well"
    if isinstance(only, ast.Return) and _is_empty(only.value):
        return "it returns an empty answer instead"
    if isinstance(only, ast.Assign) and _is_empty(only.value):
        return "it goes on as if there were nothing"
    return None


def _is_empty(value: ast.expr | None) -> bool:
    """A list, table or set with nothing in it."""
    return value is not None and ast.unparse(value) in {"[]", "{}", "()", "list()", "dict()", "set()", "tuple()"}


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
    if call.func.attr != "get":
        return False
    key = constant(call.args[0]) if call.args else None
    named = isinstance(key, str) and "/" not in key  # an item of what was decoded
    return named or last_name(of).isupper() or last_name(of) in {"headers", "cookies", "query_params", "environ"}


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()

        def load(db):
            try:
                return db.query(1).all()
            except Exception:  # found
                return []

        def count(db):
            try:
                db.execute("update visits set count = count + 1")
            except Exception as error:  # found
                print(error)

        @app.get("/")
        def root(db=None):
            try:
                db.execute("select 1")
            except:  # found
                pass
            try:
                names = db.execute("select name from customers").all()
            except Exception:  # found
                names = set()
            count(db)
            return load(db), names
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
        import json
        import os
        from fastapi import FastAPI, Request

        app = FastAPI()
        EVENTS = {"read": "item_read"}

        def track(name): ...

        def discard_draft(draft):
            try:
                draft.send("stop")
            except Exception:
                pass

        @app.get("/items")
        def items(request: Request):
            try:
                track(EVENTS.get(request.headers.get("x-event")))
            except Exception:
                pass
            try:
                request.state.kind = json.loads(request.headers["x-context"]).get("kind")
            except Exception:
                pass
            discard_draft(request.state.draft)
            machine = {"load": 0.0}
            try:
                machine.update(load=os.getloadavg()[0])
            except Exception:
                pass
            return machine
    """,
        "what is asked or changed is a table in memory, and what may fail is telemetry or an end",
    ),
]
