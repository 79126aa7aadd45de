"""Any website may call this service with its users' cookies.

With `allow_credentials=True` Starlette does not send `*` for a wildcard: it *reflects* the caller's origin, and browsers
accept that. Every page that a logged-in user opens can then read and write as that user.

List the origins that need credentials; keep the wildcard for services that have none. When the app is booted, the options
that its middleware really has decide; when it is probed, so does what it answers to a foreign origin.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fastness.tool.boot import Probed
from fastness.tool.check.knowledge.answering.reflected import reflected_origins
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import External
from fastness.tool.project.routes import Middleware
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, Scope, argument, last_name
from fastness.tool.project.source.walk import own, walk

_CORS = "starlette.middleware.cors.CORSMiddleware"
_STAGE = re.compile(r"dev|local|debug|test|prod|stag|environment|\benv\b", re.IGNORECASE)
_DEVELOPMENT = re.compile(r"(?:^|_)(?:dev|devel|development|local|localhost|debug|test|testing)(?:$|_)")
_PRODUCTION = re.compile(r"(?:^|_)(?:prod|production|staging)(?:$|_)")
_OTHER = {"dev": "prod", "prod": "dev"}
_BY_HAND = "every origin is allowed, with credentials: the answer names the one that asks"
_FOREIGN = "https://fastness-check.example"


@rule(severity=Severity.ERROR, practice="6.3", help="list the origins, or switch credentials off")
def check(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
    faults = [fault for m in service.middleware if _is_cors(m) for fault in _of_one(service, m, served)]
    if served is not None:
        faults += _made_elsewhere(service, served)
    faults += _by_hand(service)
    yield from faults
    answer = probed.answer("origin", 200) if probed is not None else None
    if (
        served is None
        or probed is None
        or answer is None
        or any(fault.source == "boot" or fault.message == _BY_HAND for fault in faults)
    ):
        return
    credentials = answer.header("access-control-allow-credentials") == "true"
    if credentials and answer.header("access-control-allow-origin") == probed.origin:
        message = f"a page of {probed.origin} may read what this app answers to its users' cookies: it reflects every origin"
        yield replace(served.at_app(message), source="probe")


def _by_hand(service: Service) -> Iterator[Found]:
    for module in service.project.service:
        yield from (found(function, origin, _BY_HAND) for function, origin in reflected_origins(module))


def _is_cors(middleware: Middleware) -> bool:
    return isinstance(middleware.cls, External) and middleware.cls.path == _CORS


def _of_one(service: Service, middleware: Middleware, served: Served | None) -> Iterator[Found]:
    """What a booted entry has; else what the sources say, unless the booted app took another way, such as for development."""
    entry = served.entry(middleware) if served is not None else None
    if entry is None:
        if served is None or not served.has(middleware.app):
            yield from _of(service, middleware)
    elif _is_open(entry.options):
        origins = argument(middleware.call, "allow_origins") or middleware.call
        guess = found(middleware.scope, origins, "every origin is allowed, with credentials: Starlette reflects it")
        yield replace(next(_of(service, middleware), guess), source="boot")


def _made_elsewhere(service: Service, served: Served) -> Iterator[Found]:
    """Entries whose making the sources do not show: by a library, or in a loop over names."""
    known = [served.entry(m) for m in service.middleware if _is_cors(m)]
    for app in served.app.apps:
        for entry in app.middleware:
            if entry.name == _CORS and entry not in known and _is_open(entry.options):
                yield replace(served.at_app("every origin is allowed, with credentials", app=app), source="boot")


def _is_open(options: Mapping[str, Any]) -> bool:
    if options.get("allow_credentials") is not True:
        return False
    origins, pattern = options.get("allow_origins"), options.get("allow_origin_regex")
    if isinstance(origins, list) and "*" in origins:
        return True
    try:
        return isinstance(pattern, str) and re.fullmatch(pattern, _FOREIGN) is not None
    except re.error:
        return False


def _of(service: Service, middleware: Middleware) -> Iterator[Found]:
    call, scope = middleware.call, middleware.scope
    credentials = argument(call, "allow_credentials")
    if credentials is None or _value(service, credentials, scope) is not True or _is_for_development(service, middleware):
        return
    for keyword in ("allow_origins", "allow_origin_regex"):
        given = argument(call, keyword)
        if given is None:
            continue
        origin, holder = _fallback(service, given, scope, keyword) or literals.origin(service.resolver, given, scope)
        if _is_wildcard(service, origin, holder, keyword):
            evidence = [] if origin is given else [proof(holder, origin, "the wildcard is the default here")]
            yield found(scope, given, "every origin is allowed, with credentials: Starlette reflects it", *evidence)


def _is_for_development(service: Service, middleware: Middleware) -> bool:
    """It is added in a branch that its name says is not for production, and that no default switches on."""
    scope = middleware.scope
    for branch in own(_body(scope)) if not isinstance(scope, Class) else ():
        if isinstance(branch, ast.If):
            taken = branch.body if any(node is middleware.call for node in own(branch.body)) else branch.orelse
            if any(node is middleware.call for node in own(taken)) and _stage(branch.test) == (
                "dev" if taken is branch.body else "prod"
            ):
                return _value(service, branch.test, scope) is not True
    return False


def _stage(test: ast.expr) -> str | None:
    """Where a condition holds: in development or in production, by the words it is made of."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _OTHER.get(_stage(test.operand) or "")
    if isinstance(test, ast.BoolOp):
        stages = {_stage(value) for value in test.values}
        wanted = stages - {None} if isinstance(test.op, ast.And) else stages
        return wanted.pop() if len(wanted) == 1 else None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        named = {_named_stage(node.value) for node in walk(test.comparators[0]) if isinstance(node, ast.Constant)}
        stage = named.pop() if len(named) == 1 else None
        return stage if isinstance(test.ops[0], ast.Eq | ast.In | ast.Is) else _OTHER.get(stage or "")
    return _named_stage(last_name(test))


def _named_stage(name: object) -> str | None:
    words = str(name).lower()
    return "dev" if _DEVELOPMENT.search(words) else "prod" if _PRODUCTION.search(words) else None


def _fallback(service: Service, given: ast.expr, scope: Scope, keyword: str) -> tuple[ast.expr, Scope] | None:
    """Of a name that branches give different values, the wildcard; unless a branch is for development by its name."""
    bound = service.resolver.binding(given.id, scope) if isinstance(given, ast.Name) else None
    bindings, holder = bound if bound is not None else ([], scope)
    if len(bindings) < 2 or isinstance(holder, Class):
        return None
    for branch in own(_body(holder)):
        if isinstance(branch, ast.If) and not _STAGE.search(ast.unparse(branch.test)):
            inside = {id(node) for node in own([*branch.body, *branch.orelse])}
            for value in (binding.value for binding in bindings):
                if value is not None and id(value) in inside and _is_wildcard(service, value, holder, keyword):
                    return value, holder
    return None


def _body(scope: Function | Module) -> list[ast.stmt]:
    return scope.node.body if isinstance(scope, Function) else scope.tree.body


def _is_wildcard(service: Service, node: ast.expr, scope: Scope, keyword: str) -> bool:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return any(_value(service, element, scope) == "*" for element in node.elts)
    if isinstance(node, ast.ListComp):
        return _is_wildcard(service, node.generators[0].iter, scope, keyword)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
        return _value(service, node.func.value, scope) == "*"
    if isinstance(node, ast.Constant):
        return node.value == "*" or (keyword == "allow_origin_regex" and node.value in {".*", "^.*$", "https?://.*", ".+"})
    return False


def _value(service: Service, node: ast.expr, scope: Scope) -> object:
    origin, holder = literals.origin(service.resolver, node, scope)
    origin = literals.default(service.resolver, origin, holder)
    return origin.value if isinstance(origin, ast.Constant) else None


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            @property
            def origins(self) -> list[str]:
                return ["https://example.org", "*"]

        settings, app = Settings(), FastAPI()
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_credentials=True)  # found
    """),
    Bad(
        """
        import os
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        def origins():
            return os.environ.get("CORS_ORIGINS", "*").split(",")

        app = FastAPI()
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins(),  # found
            allow_credentials=True,
        )
    """,
        booted=True,
    ),
    Bad(
        """
        from fastapi import FastAPI

        app = FastAPI()  # found

        @app.middleware("http")
        async def cors(request, call_next):
            response = await call_next(request)
            allow = "Access-Control-Allow-"
            response.headers[allow + "Origin"] = request.headers.get("origin", "*")
            response.headers[allow + "Credentials"] = "true"
            return response
    """,
        booted=True,
    ),
    Bad("""
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.exception_handler(RuntimeError)
        async def failed(request: Request, error):
            return JSONResponse({}, 500, headers={
                "Access-Control-Allow-Origin": request.headers.get("origin", "*"),  # found
                "Access-Control-Allow-Credentials": "true",
            })

        @app.middleware("http")
        async def cors(request: Request, call_next):
            response = await call_next(request)
            origin = request.headers.get("Origin")
            if origin:
                response.headers["Access-Control-Allow-Origin"] = origin  # found
                response.headers["Access-Control-Allow-Credentials"] = "true"
            return response
    """),
    Good("""
        from fastapi import FastAPI, Request

        app = FastAPI()

        @app.middleware("http")
        async def cors(request: Request, call_next):
            response = await call_next(request)
            origin = request.headers.get("Origin")
            if origin in {"https://example.org"}:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Allow-Credentials"] = "true"
            return response
    """),
    Good(
        """
        import os
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        app = FastAPI()
        if os.environ.get("WITH_A_DEVELOPMENT_SERVER"):
            app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
        else:
            app.add_middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_credentials=True)
    """,
        "the booted app has the strict one",
        booted=True,
    ),
    Bad("""
        # file: app/config.py
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            allowed: list[str] = ["*"]

        settings = Settings()
        # file: app/main.py
        from fastapi import FastAPI
        from fastapi.middleware import Middleware
        from fastapi.middleware.cors import CORSMiddleware
        from app.config import settings

        app = FastAPI(middleware=[
            Middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True),  # found
        ])
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed,  # found
            allow_credentials=True,
        )
    """),
    Bad("""
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            debug: bool = True
            environment: str = "production"

            @property
            def is_development(self) -> bool:
                return self.environment == "development"

        settings = Settings()
        app = FastAPI()
        if settings.debug:
            app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)  # found
        if not settings.is_development:
            app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)  # found
    """),
    Bad("""
        import os
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        app = FastAPI()
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[one.strip() for one in os.getenv("ORIGINS", "*").split(",")],  # found
            allow_credentials=True,
        )

        def create_app(listed=os.getenv("ALLOWED")):
            if listed is not None:
                allowed = listed.split(",")
            else:
                allowed = ["*"]
            app = FastAPI()
            app.add_middleware(CORSMiddleware, allow_origins=allowed, allow_credentials=True)  # found
            return app
    """),
    Good("""
        import os
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        ENVIRONMENT = os.environ["ENVIRONMENT"]
        if ENVIRONMENT == "development":
            allowed = ["*"]
        else:
            allowed = os.environ["ORIGINS"].split(",")

        app = FastAPI()
        app.add_middleware(CORSMiddleware, allow_origins=allowed, allow_credentials=True)
    """),
    Good(
        """
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            environment: str = "production"

            @property
            def is_development(self) -> bool:
                return self.environment == "development"

        settings = Settings()
        app = FastAPI()
        if settings.is_development:
            app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
        if settings.environment not in {"production", "staging"} and settings:
            app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
        else:
            app.add_middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_credentials=True)
    """,
        "the branch is for development",
    ),
    Good("""
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        origins = ["https://example.org"]
        app = FastAPI()
        app.add_middleware(CORSMiddleware, allow_origins=["*"])
        app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=False)
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_credentials=True)
    """),
    Good(
        r"""
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            credentials: bool = False

        settings = Settings()
        app = FastAPI()
        app.add_middleware(CORSMiddleware, allow_origin_regex=r"https://.*\.example\.org", allow_credentials=True)
        app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=settings.credentials)
        app.add_middleware(CORSMiddleware, allow_origins=["https://*.example.org"], allow_methods=["*"], allow_credentials=True)
    """,
        "a pattern names the hosts of one domain, and credentials are a setting that is off",
    ),
]
