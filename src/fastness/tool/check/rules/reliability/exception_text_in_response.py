"""The text of an exception is sent to the client.

`str(error)` of a database error carries SQL, parameters and table names; of an HTTP error the internal URL; of a file error
the path. It tells an attacker how the service is built and tells the user nothing.

Log the exception, and answer with a text of your own and an id under which the log can be found. When the app is probed, an
exception of ours is raised behind its middleware and handlers, and looked for in the answer.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.check.knowledge import answers, errors
from fastness.tool.check.knowledge.handlers import caught, is_broad
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.resolve import Resolver
from fastness.tool.project.symbols import Function, argument, last_name
from fastness.tool.project.values import External
from fastness.tool.project.walk import own, walk

# Exceptions of libraries whose text speaks of the inside.
_INTERNAL = (
    "SQLAlchemyError",
    "IntegrityError",
    "OperationalError",
    "DatabaseError",
    "DBAPIError",
    "ProgrammingError",
    "OSError",
    "IOError",
    "KeyError",
    "AttributeError",
    "TypeError",
    "RuntimeError",
    "ConnectionError",
    "ClientError",
    "RequestException",
)


@rule(
    severity=Severity.ERROR, practice="5.3", help="log the exception, and answer with a text of your own and the request's id"
)
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    if served is not None and probed is not None and not any(_answered(module, service) for module in service.project.service):
        yield from _at_probe(served, probed)


def each(module: Module, service: Service) -> Iterator[Found]:
    for function in module.functions if module.mentions("except") else ():
        yield from _in_handlers(function, service)
    yield from _answered(module, service)


def _answered(module: Module, service: Service) -> list[Found]:
    """What the exception handlers of a file send to clients."""
    functions = module.functions if module.mentions("except", "Exception") else ()
    return [one for function in functions for one in _in_exception_handler(function, service)]


def _at_probe(served: Served, probed: Probed) -> Iterator[Found]:
    """What nothing in the sources explains. In debug mode Starlette shows everything: that is a finding of its own."""
    answer = probed.answers.get("failed")
    if answer is None or probed.canary not in answer.body or served.app.main.debug:
        return
    message = f"the text of an exception that nobody foresaw goes to the client, with status {answer.status}"
    handlers = [handler for handler in served.app.main.handlers if handler.answers in ("builtins.Exception", 500)]
    function = served.function(handlers[0].callee) if handlers else None
    if function is not None:
        yield found(function, function.node, message, source="probe")
    else:
        yield replace(served.at_app(message), source="probe")


def _in_handlers(function: Function, service: Service) -> Iterator[Found]:
    for node in function.nodes:
        if not isinstance(node, ast.ExceptHandler) or node.name is None or not _speaks_of_the_inside(node):
            continue
        evidence = proof(function, node, f"catches {ast.unparse(node.type) if node.type else 'everything'}")
        yield from _sent(function, service, node.body, {node.name}, evidence)


def _sent(function: Function, service: Service, body: list[ast.stmt], names: set[str], *evidence: Evidence) -> Iterator[Found]:
    """The places of a body that put one of these names, or a text made of it, into an answer."""
    named: dict[str, ast.AST | None] = {**dict.fromkeys(names), **_named_texts(function, body, names)}
    is_answer = answers.is_answer(function, service)
    reported: set[ast.expr] = set()
    for inner in own(body):
        if isinstance(inner, ast.Call) and not _may_tell(inner, set(named)):
            continue
        for content in answers.contents(inner, function, service.resolver, returned=is_answer):
            place = _telling(content, set(named))
            if place is None or place in reported or _is_for_developers(function, inner):
                continue
            reported.add(place)
            made = next((one for n in walk(place) if isinstance(n, ast.Name) and (one := named.get(n.id))), None)
            steps = [*evidence, *([proof(function, made, "becomes text here")] if made is not None else [])]
            yield found(function, place, f"the text of {' or '.join(sorted(names))} goes to the client", *steps)


def _may_tell(call: ast.Call, names: set[str]) -> bool:
    """Some of these names are handed on, and not to a log: asked before what is called is looked up."""
    given = (*call.args, *(keyword.value for keyword in call.keywords))
    return last_name(call) not in _LOGS and any(_telling(one, names) is not None for one in given)


_LOGS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical"})
_FOR_DEVELOPERS = re.compile(r"(?:\b|_)(?:debug|dev|develop|development|local)(?:\b|_)", re.IGNORECASE)


def _is_for_developers(function: Function, node: ast.AST) -> bool:
    """The node stands in the body of an `if settings.debug:`. Below `if not settings.debug:` everybody sees it."""
    line = getattr(node, "lineno", 0)
    return any(
        isinstance(outer, ast.If)
        and outer.body[0].lineno <= line <= (outer.body[-1].end_lineno or 0)
        and _FOR_DEVELOPERS.search(ast.unparse(outer.test))
        and not any(isinstance(one, ast.Not | ast.NotEq) for one in walk(outer.test))
        for outer in function.nodes
    )


def _speaks_of_the_inside(handler: ast.ExceptHandler) -> bool:
    return is_broad(handler) or bool(caught(handler) & set(_INTERNAL))


def _in_exception_handler(function: Function, service: Service) -> Iterator[Found]:
    """`@app.exception_handler(Exception)` and functions that get the exception as a parameter."""
    names = _handled(function, service.resolver)
    if not names:
        return
    handles = proof(function, function.node, "handles the exception")
    sent = list(_sent(function, service, function.node.body, set(names), handles))
    if sent and not function.decorators:
        # Starlette's types ask for `Exception` whatever the handler is registered for.
        registered = {name for one in errors.handlers(service) if function in one.functions for name in one.names}
        if registered and not registered & {*_INTERNAL, "Exception", "500"}:
            return
    yield from sent


def _handled(function: Function, resolver: Resolver) -> list[str]:
    parameters = [parameter for parameter, _ in function.parameters]
    for decorator in function.decorators:
        if isinstance(decorator, ast.Call) and last_name(decorator) == "exception_handler":
            which = argument(decorator, "exc_class_or_status_code", 0)
            internal = which is not None and (last_name(which) in (*_INTERNAL, "Exception") or _status(which) == 500)
            return [parameters[-1].arg] if internal and len(parameters) >= 2 else []
    if len(parameters) == 2 or function.name.startswith(("on_", "handle")):
        # A handler that is added by a call, or a backend's `on_error=`: (request, exc: Exception).
        exceptions = [
            p.arg for p in parameters if p.annotation is not None and last_name(p.annotation) in (*_INTERNAL, "Exception")
        ]
        requests = exceptions and any("fastapi.Request()" in _paths(resolver, p, function) for p in parameters)
        return exceptions if requests else []
    return []


def _status(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _paths(resolver: Resolver, parameter: ast.arg, function: Function) -> set[str]:
    values = resolver.annotation(parameter.annotation, function.parent)
    return {value.path for value in values if isinstance(value, External)}


def _named_texts(function: Function, body: list[ast.stmt], names: set[str]) -> dict[str, ast.AST]:
    """Names that are given to the text: `message = str(error)`, alone or beside others."""
    found_: dict[str, ast.AST] = {}
    for node in own(body):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            telling = {t.id: node for t, v in pairs if isinstance(t, ast.Name) and _telling(v, names) is not None}
            if telling and not _is_for_developers(function, node):
                found_.update(telling)
    return found_


def _telling(node: ast.expr, names: set[str]) -> ast.expr | None:
    """The part of an expression that is the text of one of these names: itself, `str()` of it, or an f-string with it."""
    if isinstance(node, ast.Name):
        return node if node.id in names else None
    if isinstance(node, ast.Call):
        return _telling_call(node, names)
    if isinstance(node, ast.Attribute):
        return node if node.attr in {"args", "orig"} and _telling(node.value, names) is not None else None
    if isinstance(node, ast.JoinedStr):
        return (
            node
            if any(isinstance(v, ast.FormattedValue) and _telling(v.value, names) is not None for v in node.values)
            else None
        )
    if isinstance(node, ast.Dict | ast.BinOp | ast.List | ast.Tuple | ast.IfExp | ast.Subscript):
        children = (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
        return next((place for child in children if (place := _telling(child, names)) is not None), None)
    return None


def _telling_call(node: ast.Call, names: set[str]) -> ast.expr | None:
    called = ast.unparse(node.func)
    if called == "traceback.format_exc":
        return node
    inside: list[ast.expr] = []
    if called in {"str", "repr", "format", "jsonable_encoder", "traceback.format_exception"} or called.endswith(".format"):
        inside = list(node.args)
    elif called in {"dict", *answers.BODIES}:
        inside = [keyword.value for keyword in node.keywords]
    return node if any(_telling(one, names) is not None for one in inside) else None


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.get("/a")
        def a():
            try:
                return 1
            except Exception as error:
                raise HTTPException(500, detail=f"failed: {error}")  # found

        @app.get("/b")
        def b():
            try:
                return 1
            except Exception as error:
                status, text = 500, str(error)
                return JSONResponse({"detail": text}, status_code=status)  # found

        @app.exception_handler(Exception)
        async def handle(request, exc):
            return JSONResponse(
                content={"error": repr(exc)},  # found
                status_code=500,
            )
    """),
    Bad(
        """
        from fastapi import FastAPI
        from starlette.responses import JSONResponse

        app = FastAPI()  # found

        @app.middleware("http")
        async def caught(request, call_next):
            try:
                return await call_next(request)
            except BaseException as problem:
                return answer(problem)

        def answer(problem):
            return JSONResponse({"error": "%s" % problem}, 500)
    """,
        booted=True,
    ),
    Bad("""
        import json
        from fastapi import FastAPI, HTTPException, WebSocket
        from fastapi.responses import JSONResponse, StreamingResponse
        from pydantic import BaseModel

        app = FastAPI()

        class Answer(BaseModel):
            ok: bool
            message: str = ""

        class Failed(HTTPException):
            def __init__(self, message: str):
                super().__init__(500, message)

        class Json(JSONResponse): ...

        def failed(code, message):
            return {"code": code, "message": message}

        @app.get("/a")
        def a():
            try:
                return Answer(ok=True)
            except Exception as error:
                return Answer(ok=False, message=str(error))  # found

        @app.get("/b")
        async def b():
            try:
                return {"ok": True}
            except KeyError as error:
                return {"error": f"missing: {error}"}  # found
            except Exception as error:
                return failed(500, f"failed: {error}")  # found

        @app.get("/c")
        def c():
            def parts():
                try:
                    yield "1"
                except Exception as error:
                    yield json.dumps({"error": str(error)})  # found

            try:
                return StreamingResponse(parts())
            except OSError as error:
                return Json({"error": str(error)}, 500)  # found
            except Exception as error:
                raise Failed(str(error))  # found

        @app.websocket("/d")
        async def d(socket: WebSocket):
            try:
                await socket.accept()
            except Exception as error:
                await socket.send_text(f"failed: {error}")  # found
    """),
    Bad("""
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse
        from app.config import settings

        app = FastAPI()

        @app.exception_handler(Exception)
        async def failed(request: Request, exc: Exception):
            if not settings.debug:
                return JSONResponse({"detail": str(exc)}, 500)  # found
            return JSONResponse({"detail": "see the log"}, 500)

        @app.exception_handler(500)
        async def keyless(request: Request, exc: Exception):
            if settings.developer_key_missing:
                return JSONResponse({"detail": str(exc)}, 500)  # found
        # file: app/config.py
        class Settings:
            debug = False
            developer_key_missing = False

        settings = Settings()
    """),
    Good(
        """
        from fastapi import FastAPI, HTTPException
        from app.jobs import Jobs

        app = FastAPI()
        jobs = Jobs()

        class Problem(HTTPException):
            def __init__(self, status: int, title: str, cause: str):
                super().__init__(status, title)
                self.cause = cause

        def mask(text):
            return "".join("*" for _ in text)

        @app.get("/a")
        def a():
            try:
                return 1
            except OSError as error:
                return jobs.retry(reason=str(error))
            except KeyError as error:
                return mask(str(error))
            except Exception as error:
                raise Problem(500, "failed", cause=str(error)) from error
        # file: app/jobs.py
        class Jobs:
            def retry(self, reason):
                print(reason)
                return {"state": "waiting"}
    """,
        "functions and exceptions that are given the text and do not send it",
    ),
    Good("""
        import logging
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        class OutOfStock(Exception): ...

        @app.get("/a")
        def a():
            try:
                return 1
            except OutOfStock as error:
                raise HTTPException(409, detail=str(error))
            except ValueError as error:
                raise HTTPException(400, detail=str(error))
            except Exception as error:
                logging.exception("failed: %s", error)
                raise HTTPException(500, detail="internal error") from error

        @app.exception_handler(OutOfStock)
        async def handle(request, exc):
            return JSONResponse({"error": str(exc)}, 409)
    """),
    Good(
        """
        import logging
        from fastapi import FastAPI, HTTPException
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.get("/a")
        def a():
            try:
                return 1
            except HTTPException as error:
                raise HTTPException(error.status_code, detail=error.detail) from error
            except Exception as error:
                logging.error("failed: %s", str(error))
                raise HTTPException(500, detail="internal error") from error

        @app.exception_handler(RequestValidationError)
        async def invalid(request, exc):
            return JSONResponse({"detail": exc.errors()}, 422)
    """,
        "an error that was meant for clients goes on as it is, and validation says what was sent",
    ),
    Good(
        """
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse
        from app.config import settings

        app = FastAPI()

        class OutOfStock(Exception): ...

        def out_of_stock(request: Request, exc: Exception) -> JSONResponse:
            return JSONResponse({"detail": str(exc)}, 409)

        app.add_exception_handler(OutOfStock, out_of_stock)

        @app.exception_handler(Exception)
        async def failed(request: Request, exc: Exception):
            content = {"detail": "internal error"}
            if settings.debug:
                content = {"detail": str(exc)}
            return JSONResponse(content, 500)

        def load(name: str):
            try:
                return name
            except Exception as error:
                return {"error": str(error)}

        @app.get("/a")
        def a():
            try:
                return load("a")
            except Exception as error:
                return log_and_answer(error)
        # file: app/config.py
        class Settings:
            debug = False

        settings = Settings()
    """,
        "handlers of a foreseen exception, what developers see, and functions that make of the exception what they want",
    ),
    Good(
        """
        import logging
        import uuid
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        def report(error):
            logging.error(error)
            return uuid.uuid4().hex

        @app.get("/a")
        def a():
            try:
                return 1
            except Exception as error:
                reference = report(error)
                message = f"failed, see {reference}"
                raise HTTPException(500, detail=message) from error

        @app.exception_handler(Exception)
        async def failed(request, exc):
            text = str(exc)
            logging.error(text)
            return JSONResponse({"error": type(exc).__name__, "id": report(exc)}, 500)
    """,
        "its text goes to the log, and the client gets what the log is found by, or the error's class",
    ),
]
