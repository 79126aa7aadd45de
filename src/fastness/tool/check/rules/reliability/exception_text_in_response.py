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
from itertools import groupby

from fastness.tool.boot import Probed
from fastness.tool.check.knowledge.answering import answers, told
from fastness.tool.check.knowledge.answering.answered import answered
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.knowledge.lifetimes import startup
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module


@rule(
    severity=Severity.ERROR, practice="5.3", help="log the exception, and answer with a text of your own and the request's id"
)
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    for function, ways in groupby(answered(service), lambda one: one.function):
        if function.module.mentions("except") and not answers.is_answer(function, service):
            yield from told.in_result(function, list(ways), service) if function.of(ast.Try) else ()
    if served is not None and probed is not None and not any(_answered(module, service) for module in service.project.service):
        yield from _at_probe(served, probed)


def each(module: Module, service: Service) -> Iterator[Found]:
    for function in module.functions if module.mentions("except") else ():
        if function.decorated("asynccontextmanager", "on_event") and function in startup.starts(service):
            continue  # no client waits for it
        yield from told.in_handlers(function, service, is_answer=answers.is_answer(function, service))
    yield from _answered(module, service)


def _answered(module: Module, service: Service) -> list[Found]:
    """What the exception handlers of a file send to clients."""
    functions = module.functions if module.mentions("except", "Exception") else ()
    return [one for function in functions for one in told.in_exception_handler(function, service)]


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


EXAMPLES = [
    Bad("""
        import httpx
        import json
        import redis.asyncio as redis
        from fastapi import FastAPI, HTTPException, Request, WebSocket
        from fastapi.responses import JSONResponse, StreamingResponse
        from app.config import settings
        app = FastAPI()
        class Failed(HTTPException):
            def __init__(self, message: str):
                super().__init__(500, message)
        class Json(JSONResponse): ...
        @app.get("/a")
        def a():
            try:
                return 1
            except KeyError as error:
                return {"error": f"missing: {error}"}  # found
            except OSError as error:
                status, text = 500, str(error)
                return JSONResponse({"detail": text}, status_code=status)  # found
            except Exception as error:
                raise HTTPException(500, detail=f"failed: {error}")  # found
        @app.get("/b")
        def b():
            def parts():
                try:
                    yield "1"
                except Exception as error:
                    yield json.dumps({"error": str(error)}) + "\\n"  # found
            try:
                return StreamingResponse(parts())
            except OSError as error:
                return Json({"error": str(error)}, 500)  # found
            except Exception as error:
                raise Failed(str(error))  # found
        @app.get("/d")
        async def d(cache: redis.Redis):
            try:
                async with httpx.AsyncClient() as client:
                    return (await client.get("https://example.org")).json(), await cache.ping()
            except redis.RedisError as error:
                return {"cache": str(error)}  # found
            except (ValueError, httpx.TransportError) as error:
                raise HTTPException(502, f"no answer: {error}")  # found
        @app.exception_handler(httpx.HTTPError)
        async def unreachable(request: Request, exc: httpx.HTTPError):
            return JSONResponse({"detail": str(exc)}, 502)  # found
        @app.websocket("/c")
        async def c(socket: WebSocket):
            try:
                await socket.accept()
            except Exception as error:
                await socket.send_text(f"failed: {error}")  # found
        @app.exception_handler(Exception)
        async def handle(request: Request, exc: Exception):
            if not settings.debug:
                return JSONResponse(
                    content={"error": repr(exc)},  # found
                    status_code=500,
                )
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
                return JSONResponse({"error": described(problem)}, 500)

        def described(problem):
            return "%s" % problem
    """,
        booted=True,
    ),
    Bad("""
        import traceback
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse, StreamingResponse
        from app.reports import Answer, Reports
        app = FastAPI()
        reports = Reports()
        def failed(code, message):
            return {"code": code, "message": message}
        def refused(message):
            body = {"ok": False}
            body.update(message=message)
            return body
        class Answers:
            @staticmethod
            def error(message):
                return JSONResponse(Answer(message=message).model_dump(), 500)
        @app.get("/a")
        async def a():
            answer = Answers.error("none yet")
            try:
                return await reports.make()
            except ImportError as error:
                return refused(f"{error}")  # found
            except KeyError as error:
                return failed(500, f"failed: {error}")  # found
            except OSError as error:
                text = f"failed: {error}"
                return Answer(message=text)  # found
            except RuntimeError as error:
                answer = Answers.error(str(error))  # found
            except Exception:
                return {"trace": traceback.format_exc()}  # found
            return answer
        def b():
            body, lost = {"checks": {}}, []
            try:
                reports.count()
            except Exception as error:
                body["checks"]["reports"] = {"error": str(error)}  # found
            try:
                reports.count()
            except Exception as error:
                lost.append(repr(error))  # found
            return {**body, "lost": lost}
        app.add_api_route("/b", b)
        @app.get("/c")
        def c():
            count = reports.count()
            if not count["ok"]:
                return JSONResponse({"why": count["error"]}, 500)
            return StreamingResponse(reports.lines())
        # file: app/reports.py
        import json
        from pydantic import BaseModel
        class Answer(BaseModel):
            message: str
        class Reports:
            async def make(self) -> Answer:
                try:
                    return Answer(message="")
                except Exception as error:
                    answer = Answer(message=str(error))
                    return answer  # found
            def count(self):
                try:
                    return {"ok": True}
                except Exception as error:
                    return {"ok": False, "error": f"failed: {error}"}  # found
            def lines(self):
                try:
                    yield b"1"
                except Exception as error:
                    part = {"error": str(error)}
                    yield json.dumps(part).encode()  # found
    """),
    Good(
        """
        import logging
        import uuid
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse
        from app.jobs import Jobs

        app = FastAPI()
        jobs = Jobs()

        class Problem(HTTPException):
            def __init__(self, status: int, title: str, cause: str):
                super().__init__(status, title)
                self.cause = cause

        def mask(text):
            return "".join("*" for _ in text)

        def report(error):
            logging.error(error)
            return uuid.uuid4().hex

        @app.get("/a")
        def a():
            try:
                return 1
            except OSError as error:
                return jobs.retry(reason=str(error))
            except KeyError as error:
                return mask(str(error))
            except RuntimeError as error:
                return log_and_answer(error)
            except ImportError as error:
                message = f"failed, see {report(error)}"
                raise HTTPException(500, detail=message) from error
            except Exception as error:
                raise Problem(500, "failed", cause=str(error)) from error

        @app.exception_handler(Exception)
        async def failed(request, exc):
            text = str(exc)
            logging.error(text)
            return JSONResponse({"error": type(exc).__name__, "id": report(exc)}, 500)
        # file: app/jobs.py
        class Jobs:
            def retry(self, reason):
                print(reason)
                return {"state": "waiting"}
    """,
        "who is given the text and does not send it; the client gets what the log is found by, or the error's class",
    ),
    Good(
        """
        import logging
        import stripe
        from contextlib import asynccontextmanager
        from fastapi import FastAPI, HTTPException, Request
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
        from app.config import settings
        class Down(HTTPException): ...
        def connect(): ...
        @asynccontextmanager
        async def lifespan(app):
            try:
                connect()
            except OSError as error:
                raise Down(503, f"no database: {error}")
            yield
        app = FastAPI(lifespan=lifespan)
        class OutOfStock(Exception): ...
        @app.get("/a")
        def a():
            try:
                return 1
            except OutOfStock as error:
                raise HTTPException(409, detail=str(error))
            except stripe.CardError as error:
                raise HTTPException(402, detail=str(error))
            except ValueError as error:
                raise HTTPException(400, detail=str(error))
            except HTTPException as error:
                raise HTTPException(error.status_code, detail=error.detail) from error
            except Exception as error:
                if isinstance(error, OutOfStock):
                    raise HTTPException(409, detail=str(error))
                logging.exception("failed: %s", error)
                raise HTTPException(500, detail="internal error") from error
        @app.exception_handler(OutOfStock)
        async def handle(request, exc):
            return JSONResponse({"error": str(exc)}, 409)
        @app.exception_handler(RequestValidationError)
        async def invalid(request, exc):
            return JSONResponse({"detail": exc.errors()}, 422)
        def out_of_stock(request: Request, exc: Exception) -> JSONResponse:
            return JSONResponse({"detail": str(exc)}, 409)
        app.add_exception_handler(OutOfStock, out_of_stock)
        @app.exception_handler(Exception)
        async def failed(request: Request, exc: Exception):
            content = {"detail": "internal error"}
            if settings.debug:
                content = {"detail": str(exc)}
            return JSONResponse(content, 500)
        # file: app/config.py
        class Settings:
            debug = False
        settings = Settings()
    """,
        "errors that are foreseen or meant for clients, what validation says, what developers see, and a start that fails",
    ),
    Good(
        """
        from fastapi import FastAPI, HTTPException
        from app import rates

        app = FastAPI()

        @app.get("/a")
        def a():
            loaded = rates.load()
            if not loaded["ok"]:
                raise HTTPException(502, "no rates")
            refreshed = rates.refresh()
            if refreshed.ok:
                return refreshed
            return {"rates": loaded["rates"], "converted": rates.convert()}

        @app.get("/names")
        def names():
            for one in rates.load():
                print(one)
            for one in ("EUR", "USD"):
                yield one

        @app.get("/b")
        def b(rate: rates.Rate, is_production: bool = True, testing: bool = False):
            message = "failed"
            try:
                return 1
            except OSError as error:
                rate.error = str(error)
                message = message if is_production else str(error)
            except Exception as error:
                message = str(error)
                if testing:
                    raise HTTPException(500, message)
                rate.error = message
            else:
                return rate
            message = "try again later"
            return {"message": message, "rate": rate}
        # file: app/rates.py
        from sqlalchemy.orm import DeclarativeBase

        class Base(DeclarativeBase): ...

        class Rate(Base):
            __tablename__ = "rates"

        class Refreshed:
            def __init__(self, ok, error=""):
                self.ok, self.error = ok, error

        def load():
            try:
                return {"ok": True, "rates": []}
            except Exception as error:
                return {"ok": False, "error": str(error)}

        def refresh():
            try:
                return Refreshed(True)
            except Exception as error:
                return Refreshed(False, error=str(error))

        def convert():
            try:
                return 1
            except Exception as error:
                return len(str(error))
    """,
        "results that are asked how they went, what developers are shown, what is overwritten, and a row's own field",
    ),
]
