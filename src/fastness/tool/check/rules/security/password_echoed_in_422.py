"""A refused request is answered with the password that it carried.

With Pydantic 2 FastAPI's answer to an invalid request repeats the `input`: the field's value, and where a field is missing,
the whole body, password included. It ends in the logs of clients, proxies and error trackers, where `SecretStr` does not help,
since the input has not become one.

Handle `RequestValidationError` yourself, and answer with `loc`, `msg` and `type` only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.boot import Probed
from fastness.tool.boot.app import BootedRoute
from fastness.tool.check.knowledge.answering import errors
from fastness.tool.check.knowledge.credentials.secrets import names_password
from fastness.tool.check.knowledge.facts import versions
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.knowledge.inputs.bodies import bodies, fields
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Class, Function

_INVALID = {"RequestValidationError", "422", "HTTP_422_UNPROCESSABLE_ENTITY", "HTTP_422_UNPROCESSABLE_CONTENT"}
_PICKS = re.compile(r"""["'](?:msg|loc|type)["']|include_input\s*=\s*False|["']input["']|exclude|\.title\b""")


_SECRET = re.compile(r"pass(?:word|wd|phrase)|(?:^|_)(?:secret|pin|cvv|cvc|ssn|otp)(?:$|_)|card_?number", re.IGNORECASE)
_DEFAULT = "fastapi.exception_handlers.request_validation_exception_handler"


@rule(severity=Severity.WARNING, practice="6.6", help="handle RequestValidationError, and leave `input` out of the answer")
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    yield from _static(service) if served is None else _at_boot(served, probed)


def _static(service: Service) -> Iterator[Found]:
    if not versions.pydantic_is_2(service):
        return
    handlers = _own_handlers(service)
    places = list(dict.fromkeys(_fields(service))) if handlers is not None else []
    if places and handlers is not None:
        owner, node, name = places[0]
        evidence = [proof(handler, handler.node, "answers with all that `errors()` tells") for handler in handlers]
        evidence += [proof(o, n, f"{o.name}.{field}") for o, n, field in places[1:10]]
        message = f"{owner.name}.{name} is sent back in the answer to an invalid request"
        yield found(owner, node, message, *evidence, count=len(places))


def _fields(service: Service) -> Iterator[tuple[Class, ast.AST, str]]:
    for route in service.routes:
        if not route.handler.module.is_test:
            for *_, model in bodies(service, route):
                for name, (owner, node) in fields(service, model).items():
                    if _is_password(name, node):
                        yield owner, node, name


def _is_password(name: str, field: ast.AST) -> bool:
    """The name speaks of a password and not of a rule for some, and the type is that of no date or switch."""
    declared = ast.unparse(field.annotation) if isinstance(field, ast.AnnAssign) else ""
    return names_password(name) and not re.search(r"\b(?:bool|int|float|date|datetime)\b", declared)


def _own_handlers(service: Service) -> list[Function] | None:
    """The project's functions that answer invalid requests with all of it; None when one picks what it repeats, or may."""
    found: list[Function] = []
    for registered in errors.handlers(service):
        if not registered.names:
            return None  # a table of handlers that cannot be read may hold it
        if not registered.names & _INVALID:
            continue
        if not registered.functions:
            return None  # a library's
        for function in registered.functions:
            text = ast.unparse(function.node)
            if "errors()" not in text or _PICKS.search(text):
                return None
            found.append(function)
    return found


def _at_boot(served: Served, probed: Probed | None) -> Iterator[Found]:
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
        from pydantic import BaseModel, ConfigDict, SecretStr

        app = FastAPI()

        class Login(BaseModel):
            model_config = ConfigDict(extra="forbid")
            name: str
            password: SecretStr  # found

        class Change(BaseModel):
            new_password: str

        @app.post("/login")
        def login(login: Login): ...

        @app.post("/change")
        def change(change: Change): ...
    """),
    Bad("""
        # file: requirements.txt
        pydantic>=2
        # file: app/main.py
        from fastapi import FastAPI
        from pydantic import BaseModel

        app = FastAPI()

        class SignUp(BaseModel):
            plain_password_first: str  # found
            plainPasswordSecond: str

        @app.post("/users")
        def sign_up(user: SignUp): ...
    """),
    Bad("""
        # file: requirements.txt
        pydantic>=2
        # file: app/main.py
        from fastapi import FastAPI
        from fastapi.encoders import jsonable_encoder
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
        from pydantic import BaseModel

        app = FastAPI()

        @app.exception_handler(RequestValidationError)
        async def invalid(request, exc):
            return JSONResponse(jsonable_encoder({"detail": exc.errors()}), 422)

        class Login(BaseModel):
            password: str  # found

        @app.post("/login")
        def login(login: Login): ...
    """),
    Good(
        """
        # file: requirements.txt
        pydantic>=2
        # file: app/main.py
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
        from pydantic import BaseModel

        async def invalid(request, exc):
            return JSONResponse([{"loc": e["loc"], "msg": e["msg"]} for e in exc.errors()], 422)

        app = FastAPI(exception_handlers={RequestValidationError: invalid})

        class Login(BaseModel):
            password: str

        @app.post("/login")
        def login(login: Login): ...
    """,
        "the handler picks what it repeats",
    ),
    Good(
        """
        # file: requirements.txt
        pydantic==1.10.2
        # file: app/main.py
        from fastapi import FastAPI
        from pydantic import BaseModel

        app = FastAPI()

        class Login(BaseModel):
            password: str

        @app.post("/login")
        def login(login: Login): ...
    """,
        "Pydantic 1 does not repeat the input",
    ),
    Good(
        """
        # file: requirements.txt
        pydantic>=2
        # file: app/main.py
        from fastapi import Depends, FastAPI
        from fastapi.security import OAuth2PasswordRequestForm
        from pydantic import BaseModel

        app = FastAPI()

        class Stored(BaseModel):
            password: str

        class Policy(BaseModel):
            password_length: int
            password_hint: str
            has_password: bool

        @app.post("/login")
        def login(policy: Policy, form: OAuth2PasswordRequestForm = Depends()) -> Stored: ...
    """,
        "a model that is only answered with, a form of which each field is judged alone, and a policy about passwords",
    ),
    Bad(
        """
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
    """,
        booted=True,
    ),
    Bad(
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
            return JSONResponse({"error": {"message": str(error.errors())}}, 422)

        @app.post("/login")
        def login(credentials: Credentials) -> None: ...  # found
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import FastAPI
        from fastness import problems
        from pydantic import BaseModel

        class Credentials(BaseModel):
            username: str
            password: str

        app = FastAPI(exception_handlers=problems.handlers())

        @app.post("/login")
        def login(credentials: Credentials) -> None: ...
    """,
        booted=True,
    ),
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
        booted=True,
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
        booted=True,
    ),
]
