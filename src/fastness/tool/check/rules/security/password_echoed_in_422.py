"""A password is sent back when something beside it is wrong.

FastAPI's answer to a request that is not valid repeats the input: of a body that lacks one field, the whole body. A login with
a misspelt field name then has the password in its response, where proxies, browsers' tools and error trackers keep it.
`SecretStr` does not help: it is the input that is repeated, not the value.

Answer `RequestValidationError` with a handler of your own that leaves `input` and `ctx` out. Booted, FastAPI's own handler is
recognised; probed, a body with a password tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity

_SECRET = re.compile(r"pass(?:word|wd|phrase)|(?:^|_)(?:secret|pin|cvv|cvc|ssn|otp)(?:$|_)|card_?number", re.IGNORECASE)
_DEFAULT = "fastapi.exception_handlers.request_validation_exception_handler"


@rule(severity=Severity.WARNING, practice="5.1", help="answer `RequestValidationError` without `input` and `ctx`")
def check(served: Served, probed: Probed | None) -> Iterator[Found]:
    takers = [(route, name) for route in served.app.operations if _of_main(served, route) and (name := _secret(route))]
    answer = probed.answer("invalid", 400, 422) if probed is not None else None
    echoes = probed.canary in answer.body if probed is not None and answer is not None else _has_default_handler(served)
    if not takers or not echoes:
        return
    route, name = takers[0]
    function = served.function(route.endpoint)
    message = f"the {name} that {route.title} takes is sent back when another field is wrong"
    at = served.at_app(message) if function is None else found(function, function.node, message)
    yield replace(at, count=len(takers), source="probe" if answer is not None else "boot")


def _of_main(served: Served, route: BootedRoute) -> bool:
    return route.app is not None and served.app.apps[route.app] is served.app.main


def _secret(route: BootedRoute) -> str | None:
    """A field of the body that nobody should see."""
    names = [name for p in route.parameters if p.where == "body" for name in (*p.fields, *(() if p.fields else (p.name,)))]
    return next((name for name in names if _SECRET.search(name)), None)


def _has_default_handler(served: Served) -> bool:
    """FastAPI's own, whose answer has had `input` since Pydantic 2."""
    names = {str(handler.answers): handler.callee.name for handler in served.app.main.handlers}
    return names.get("fastapi.exceptions.RequestValidationError") == _DEFAULT and not served.app.versions[
        "pydantic"
    ].startswith("1.")


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel, SecretStr

        class Credentials(BaseModel):
            username: str
            password: SecretStr

        class Registration(BaseModel):
            email: str
            credentials: Credentials

        app = FastAPI()

        @app.post("/items")
        def create(name: str) -> None: ...

        @app.post("/login")
        def login(credentials: Credentials) -> None: ...  # found

        @app.post("/register")
        def register(registration: Registration) -> None: ...
    """),
    Bad("""
        from fastapi import FastAPI, Request
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
        from pydantic import BaseModel

        class Credentials(BaseModel):
            username: str
            password: str

        app = FastAPI()

        @app.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError):
            return JSONResponse({"error": {"message": str(error.errors())}}, 422)

        @app.post("/login")
        def login(credentials: Credentials) -> None: ...  # found
    """),
    Good("""
        from fastapi import FastAPI
        from fastness import problems
        from pydantic import BaseModel

        class Credentials(BaseModel):
            username: str
            password: str

        app = FastAPI(exception_handlers=problems.handlers())

        @app.post("/login")
        def login(credentials: Credentials) -> None: ...
    """),
    Good(
        """
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str
            passed: bool
            compass: str

        app = FastAPI()

        @app.post("/items")
        def create(item: Item) -> None: ...
    """,
        "nothing in it is secret",
    ),
    Good(
        """
        from fastapi import FastAPI, Request
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
        from pydantic import BaseModel

        class Credentials(BaseModel):
            username: str
            password: str

        app = FastAPI()

        @app.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError):
            wrong = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
            return JSONResponse({"errors": wrong}, 422)

        @app.post("/login")
        def login(credentials: Credentials) -> None: ...
    """,
        "a handler that tells fields and messages",
    ),
]
