"""The text of an exception is sent to the client.

`str(error)` of a database error carries SQL, parameters and table names; of an HTTP error the internal URL; of a file error
the path. It tells an attacker how the service is built and tells the user nothing.

Log the exception, and answer with a text of your own and an id under which the log can be found. When the app is probed, an
exception of ours is raised behind its middleware and handlers, and looked for in the answer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.check.knowledge import answers, errors, texts
from fastness.tool.check.knowledge.handlers import caught, is_broad
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.resolve import Resolver
from fastness.tool.project.symbols import Function, argument, constant, last_name
from fastness.tool.project.values import External
from fastness.tool.project.walk import own, walk


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
    named: dict[str, ast.AST | None] = {**dict.fromkeys(names), **texts.named_texts(function, body, names)}
    is_answer = answers.is_answer(function, service)
    reported: set[ast.expr] = set()
    for inner in own(body):
        if isinstance(inner, ast.Call) and not texts.may_tell(inner, set(named)):
            continue
        for content in answers.contents(inner, function, service.resolver, returned=is_answer):
            place = texts.telling(content, set(named))
            if place is None or place in reported or texts.is_for_developers(function, inner):
                continue
            reported.add(place)
            made = next((one for n in walk(place) if isinstance(n, ast.Name) and (one := named.get(n.id))), None)
            steps = [*evidence, *([proof(function, made, "becomes text here")] if made is not None else [])]
            yield found(function, place, f"the text of {' or '.join(sorted(names))} goes to the client", *steps)


def _speaks_of_the_inside(handler: ast.ExceptHandler) -> bool:
    return is_broad(handler) or bool(caught(handler) & set(texts.INTERNAL))


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
        if registered and not registered & {*texts.INTERNAL, "Exception", "500"}:
            return
    yield from sent


def _handled(function: Function, resolver: Resolver) -> list[str]:
    parameters = [parameter for parameter, _ in function.parameters]
    for decorator in function.decorators:
        if isinstance(decorator, ast.Call) and last_name(decorator) == "exception_handler":
            which = argument(decorator, "exc_class_or_status_code", 0)
            internal = which is not None and (last_name(which) in (*texts.INTERNAL, "Exception") or constant(which) == 500)
            return [parameters[-1].arg] if internal and len(parameters) >= 2 else []
    if len(parameters) == 2 or function.name.startswith(("on_", "handle")):
        # A handler that is added by a call, or a backend's `on_error=`: (request, exc: Exception).
        exceptions = [
            p.arg for p in parameters if p.annotation is not None and last_name(p.annotation) in (*texts.INTERNAL, "Exception")
        ]
        of = (value for p in parameters for value in resolver.annotation(p.annotation, function.parent))
        requests = exceptions and any(isinstance(value, External) and value.path == "fastapi.Request()" for value in of)
        return exceptions if requests else []
    return []


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
