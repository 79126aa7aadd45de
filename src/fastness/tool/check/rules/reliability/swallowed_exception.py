"""An exception is swallowed where requests are answered.

`except Exception: pass` around a query turns every fault, a lost connection or a misspelt column, into an empty answer
with status 200. Nothing is logged, no alert fires, and the client stores the emptiness.

Catch what you expect, by its type; let the rest reach the error handler, or log it with its traceback.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from fastness.tool.check.knowledge.answering import attempts, nothing
from fastness.tool.check.knowledge.answering.answered import answered
from fastness.tool.check.knowledge.answering.handlers import is_broad, is_explained, raises
from fastness.tool.check.knowledge.answering.nothing import is_empty, is_none
from fastness.tool.check.knowledge.facts.reach import from_requests
from fastness.tool.check.rule import Bad, Found, Good, collapse, found, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function, handed_on, last_name
from fastness.tool.project.source.walk import own

_PROBE = re.compile(r"health|ready|readiness|livez|liveness|alive|heartbeat|(?:^|_)(?:ping|probe)(?:_|$)", re.IGNORECASE)
_ENDS = re.compile(r"^_*(?:close|clean_?up|teardown|stop|shutdown|discard|dispose|release|disconnect)(?:_|$)")
_MAY_FAIL = re.compile(
    r"(?:^|[._])try_|_or_none|optional|maybe|cache|telemetry|monitor|metric|analytic|track|audit|notif|probe|health|prefetch|warm"
    r"|suggest|hint|avatar|thumb",
    re.IGNORECASE,
)
_HOOK = re.compile(r"webhook|callback")  # who calls it asks again when it fails, and is told that it need not
_COUNTS = re.compile(r"(?:^|_)(?:track|telemetry|analytics|beacon|metrics)(?:_|$)")
_OPTIONAL = re.compile(r"None|Optional|Any\b|dict|Response")
_BODY = {"fastapi.Request().json", "fastapi.Request().form", "fastapi.Request().body"}


@rule(
    severity=Severity.WARNING,
    practice="5.3",
    help="catch what you expect by its type, and let the rest reach the error handler",
)
def check(service: Service) -> Iterator[Found]:
    reached, answering = from_requests(service), _answering(service)
    for module in service.project.service:
        for function in module.functions if module.mentions("except") else ():
            if function in reached and not _PROBE.search(function.name) and not _ENDS.search(function.name):
                answers = answering.get(function)
                find = partial(_of, function, service, answers)
                # What it answers with depends on who asks; what it swallows for itself does not.
                yield from service.notes.search("swallowed", function, find) if answers is None else find()


@dataclass(frozen=True, slots=True)
class _Answers:
    """How a function makes an answer.

    Attributes:
        is_model: FastAPI would refuse an answer that does not have what was promised.
        told: the way from the endpoint.
    """

    is_model: bool
    told: tuple[Evidence, ...] = ()


def _answering(service: Service) -> dict[Function, _Answers]:
    """The endpoints, and the functions whose results they answer with unseen."""
    found: dict[Function, _Answers] = {}
    for route in service.routes:
        if not route.is_websocket and not _COUNTS.search(route.handler.name):
            promised = route.option("response_model") or route.handler.node.returns
            found[route.handler] = _Answers(promised is not None and not _OPTIONAL.search(ast.unparse(promised)))
    for one in answered(service):
        if one.key is None and one.endpoint in found and not one.is_looked_at and not _may_fail(one.function):
            found.setdefault(one.function, _Answers(found[one.endpoint].is_model, tuple(one.told())))
    return found


def _of(function: Function, service: Service, answers: _Answers | None) -> Iterator[Found]:
    unread: list[Found] = []
    for attempt in function.of(ast.Try):
        for handler in attempt.handlers:
            if not is_broad(handler) or is_explained(function, handler):
                continue
            how, evidence = _swallows(function, handler), tuple[Evidence, ...]()
            if how is None and answers is not None:
                is_end = attempt is function.body[-1] and not _HOOK.search(function.name)
                how, evidence = nothing.told(handler, is_model=answers.is_model, is_end=is_end), answers.told
            if how and attempts.does_real_work(function, attempt, service, asked_for=isinstance(handler.body[-1], ast.Return)):
                yield found(function, handler, f"{function.qualified} swallows every exception: {how}", *evidence)
            elif _takes_no_body(function, attempt, handler, service):
                message = f"{function.qualified} takes every body that it cannot read for an empty one"
                unread.append(found(function, handler, message))
    yield from collapse(sorted(unread, key=lambda one: one.line), lambda one: one.message)


def _swallows(function: Function, handler: ast.ExceptHandler) -> str | None:
    only = handler.body[0]
    how = None
    if len(handler.body) != 1:
        return "what was begun is undone, and nobody hears of it" if all(map(_is_undone, handler.body)) else None
    if isinstance(only, ast.Pass) or (isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)):
        how = "nothing is logged, nothing is raised"
    elif isinstance(only, ast.Expr) and isinstance(only.value, ast.Call) and ast.unparse(only.value.func) == "print":
        how = "it is printed, and the client is told that all is well"
    elif isinstance(only, ast.Return) and is_empty(only.value):
        how = "it returns an empty answer instead"
    elif isinstance(only, ast.Return) and is_none(only.value) and not _may_fail(function):
        how = "nothing is logged, and None is what the caller gets"
    elif isinstance(only, ast.Assign) and is_empty(only.value):
        how = "it goes on as if there were nothing"
    return how


def _is_undone(statement: ast.stmt) -> bool:
    """`await session.rollback()`, or a `print` beside it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    return isinstance(value, ast.Call) and last_name(value) in {"print", "rollback"}


def _may_fail(function: Function) -> bool:
    """By its name it is something that is done if it can be: a cache, a measurement, a notification."""
    return bool(_MAY_FAIL.search(f"{function.module.name}.{function.qualified}"))


def _takes_no_body(function: Function, attempt: ast.Try, handler: ast.ExceptHandler, service: Service) -> bool:
    """`try: order = Order(**await request.json())`, and an empty order when that fails, whyever."""
    last = handler.body[-1]
    value = last.value if isinstance(last, ast.Assign) else None
    made = isinstance(value, ast.Call) and not handed_on(value) and last_name(value)[:1].isupper()
    gone_on = isinstance(last, ast.Return) and (is_none(last.value) or is_empty(last.value)) and not _may_fail(function)
    if not (made or gone_on) or raises(handler):
        return False
    return any(
        isinstance(node, ast.Await)
        and isinstance(node.value, ast.Call)
        and service.resolver.paths(node.value.func, function) & _BODY
        for node in own(attempt.body)
    )


EXAMPLES = [
    Bad("""
        import logging
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse
        app = FastAPI()
        def keep(db, text):
            try:
                db.execute("insert into notes values (?)", text)
                return {"success": True}
            except Exception as error:  # found
                logging.error("not kept: %s", error)
                return {"success": True, "note": None}
        @app.post("/notes")
        def note(text: str, db=None):
            return keep(db, text)
        @app.post("/events")
        def event(text: str, db=None):
            try:
                db.execute("insert into events values (?)", text)
            except Exception:  # found
                logging.exception("not kept")
                return JSONResponse({"status": "ok"})
            return JSONResponse({"status": "ok"})
        @app.post("/letters")
        def letter(text: str, db=None):
            try:
                db.execute("insert into letters values (?)", text)
            except Exception:
                logging.exception("not kept")
                return {"status": "failed"}
            return {"status": "ok"}
    """),
    Bad("""
        import logging
        import requests
        from fastapi import FastAPI, Request, Response
        from pydantic import BaseModel
        from sqlalchemy.orm import Session
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
        class Order(BaseModel):
            name: str = ""
        @app.get("/rates")
        def rates(db: Session):
            return {"rates": rate("EUR"), "names": every(db), "blocked": blocked()}
        def rate(currency):
            try:
                return requests.get(f"https://rates.example.org/{currency}", timeout=3).json()
            except Exception:  # found
                return None
        def every(db):
            try:
                return db.query(1).all()
            except Exception as error:  # found
                db.rollback()
                logging.error("no names: %s", error)
                return []
        def blocked():
            try:
                with open("blocked.txt") as lines:
                    return list(lines)
            except Exception:  # found
                return []
        def names(db):
            try:
                return db.query(1).all()
            except Exception as error:  # noqa: BLE001 - outer boundary  # found
                logging.error("no names: %s", error)
                return []
        async def sent(request: Request):
            try:
                return await request.json(), "json"
            except Exception as error:  # found
                logging.warning("no body: %s", error)
                return None, None
        def seen(db):
            try:
                db.execute("update visits set count = count + 1")
                db.commit()
            except Exception as error:  # found
                print(error)
                db.rollback()
        @app.get("/names")
        async def all_names(request: Request, db: Session):
            await sent(request)
            seen(db)
            return names(db)
        @app.post("/hook")
        async def hook(request: Request, db: Session):
            try:
                order = Order(**await request.json())
            except Exception:  # found
                order = Order()
            try:
                db.add(order)
                db.commit()
            except Exception:  # found
                logging.exception("not stored")
                return Response(status_code=200)
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
            try:
                db.execute("update reports set sent = true")
            except Exception:  # noqa: BLE001, S110 - sent already, whatever happens
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
    Good(
        """
        import logging
        import os
        import requests
        from fastapi import FastAPI, HTTPException, Request, Response
        from pydantic import BaseModel
        from sqlalchemy.orm import Session
        app = FastAPI()
        class Rate(BaseModel):
            value: float
        @app.get("/rates")
        def rates(response: Response, name: str = "EUR"):
            rate = load(name)
            if rate is None:
                raise HTTPException(503, "no rates now")
            return {"rate": rate, "hint": hint_for(name), "old": load(name) or 1.0}
        def load(name):
            try:
                return requests.get(f"https://rates.example.org/{name}", timeout=3).json()
            except Exception:
                logging.exception("no rate")
                return None
        def hint_for(name):
            try:
                return requests.get(f"https://hints.example.org/{name}", timeout=3).json()
            except Exception:
                return None
        @app.get("/rate")
        def rate(db: Session) -> Rate:
            try:
                return db.query(Rate).one()
            except Exception:
                logging.exception("no rate")
                return None
        @app.post("/seen")
        def track_view(db: Session):
            try:
                db.execute("update views set count = count + 1")
            except Exception:
                logging.exception("not counted")
                return None
        @app.post("/notes")
        async def note(request: Request):
            try:
                body = await request.json()
            except ValueError:
                raise HTTPException(400, "no JSON")
            with open("notes.txt", "a") as notes:
                notes.write(body["text"])
                try:
                    notes.flush()
                    os.fsync(notes.fileno())
                except Exception:
                    pass
    """,
        "callers that look at what they get, what is done if it can be, an answer that FastAPI refuses, and a file",
    ),
]
