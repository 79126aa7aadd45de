"""Any website may call this service with its users' cookies.

With `allow_credentials=True` Starlette does not send `*` for a wildcard: it *reflects* the caller's origin, and browsers
accept that. Every page that a logged-in user opens can then read and write as that user.

List the origins that need credentials; keep the wildcard for services that have none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service, literals
from fastness.tool.project.routes import Middleware
from fastness.tool.project.symbols import Scope, argument
from fastness.tool.project.values import External

_CORS = "starlette.middleware.cors.CORSMiddleware"


@rule(severity=Severity.ERROR, practice="6.3", help="list the origins, or switch credentials off")
def check(service: Service) -> Iterator[Found]:
    for middleware in service.middleware:
        if isinstance(middleware.cls, External) and middleware.cls.path == _CORS:
            yield from _of(service, middleware)


def _of(service: Service, middleware: Middleware) -> Iterator[Found]:
    call, scope = middleware.call, middleware.scope
    credentials = argument(call, "allow_credentials")
    if credentials is None or _value(service, credentials, scope) is not True:
        return
    for keyword in ("allow_origins", "allow_origin_regex"):
        given = argument(call, keyword)
        if given is None:
            continue
        origin, holder = literals.origin(service.resolver, given, scope)
        if _is_wildcard(service, origin, holder, keyword):
            evidence = [] if origin is given else [proof(holder, origin, "the wildcard is the default here")]
            yield found(scope, given, "every origin is allowed, with credentials: Starlette reflects it", *evidence)


def _is_wildcard(service: Service, node: ast.expr, scope: Scope, keyword: str) -> bool:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return any(_value(service, element, scope) == "*" for element in node.elts)
    if isinstance(node, ast.Constant):
        return node.value == "*" or (keyword == "allow_origin_regex" and node.value in {".*", "^.*$", "https?://.*", ".+"})
    return False


def _value(service: Service, node: ast.expr, scope: Scope) -> object:
    origin, _ = literals.origin(service.resolver, node, scope)
    return origin.value if isinstance(origin, ast.Constant) else None


EXAMPLES = [
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
    Good("""
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware

        origins = ["https://example.org"]
        app = FastAPI()
        app.add_middleware(CORSMiddleware, allow_origins=["*"])
        app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=False)
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_credentials=True)
    """),
]
