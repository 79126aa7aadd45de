"""Without its secret the service lets everybody in.

`if not SECRET: return await call_next(request)` was written for a developer's machine. In production the variable is
misspelt once, nothing fails, every test passes, and every request is somebody's.

Refuse to start without the secret; make the development mode a setting that says so by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.secrets import names_secret
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.symbols import Function, last_name
from fastness.tool.project.walk import own

_GUARD = re.compile(
    r"auth|verify|require|check|current_user|validate_(?:token|key|signature)|guard|protect|permission", re.IGNORECASE
)
_SECRET = re.compile(r"secret|api_?key|signing_key|public_key|auth_?token|webhook_?token|jwks", re.IGNORECASE)


@rule(severity=Severity.ERROR, practice="6.1", help="refuse to start without the secret, instead of letting everybody in")
def check(service: Service) -> Iterator[Found]:
    guards: dict[Function, None] = {}
    for middleware in service.middleware:
        guards.update(dict.fromkeys(service.run_by(middleware)))
    for route in service.routes:
        for dependency in service.tree(route):
            if isinstance(dependency.target, Function) and _GUARD.search(dependency.target.qualified):
                guards[dependency.target] = None
    for guard in guards:
        for node in guard.nodes:
            if isinstance(node, ast.If) and (name := _missing_secret(node.test, guard)) and _lets_in(node.body, guard):
                yield found(guard, node, f"without {name}, {guard.qualified} lets every request through")


def _missing_secret(test: ast.expr, guard: Function) -> str | None:
    """The name of the configured secret whose absence is tested for."""
    subject: ast.expr | None = None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        subject = test.operand
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Is | ast.Eq):
        compared = test.comparators[0]
        subject = test.left if isinstance(compared, ast.Constant) and not compared.value else None
    if subject is None:
        return None
    if isinstance(subject, ast.Call):
        variable = subject.args[0] if subject.args else None
        text = variable.value if isinstance(variable, ast.Constant) else None
        return text if isinstance(text, str) and _SECRET.search(text) and last_name(subject) in {"getenv", "get"} else None
    name = last_name(subject)
    if not (_SECRET.search(name) or names_secret(name)):
        return None
    if isinstance(subject, ast.Name):
        return name if _from_configuration(subject, guard) else None
    return name if re.search(r"settings|config|env", ast.unparse(subject), re.IGNORECASE) else None


def _from_configuration(name: ast.Name, guard: Function) -> bool:
    """The name is a setting, not something that the request brought."""
    bindings = guard.bindings.get(name.id)
    if bindings is None:
        return True  # the module's
    texts = [ast.unparse(binding.value) for binding in bindings if binding.value is not None]
    return any(re.search(r"environ|getenv|settings|config", text, re.IGNORECASE) and "request" not in text for text in texts)


def _lets_in(body: list[ast.stmt], guard: Function) -> bool:
    if any(isinstance(node, ast.Raise) for node in own(body)):
        return False
    going_on = {"call_next", "app", *_goes_on(guard)}
    for node in own(body):
        if isinstance(node, ast.Return):
            text = ast.unparse(node.value) if node.value is not None else "None"
            called = node.value.value if isinstance(node.value, ast.Await) else node.value
            if isinstance(called, ast.Call) and last_name(called) in going_on:
                return True
            return text in {"None", "True"} or text.startswith(("{", "User"))
    return any(isinstance(n, ast.Call) and last_name(n) in going_on for n in own(body))


def _goes_on(guard: Function) -> set[str]:
    """Functions inside of a middleware that call the next one."""
    return {
        name
        for name, bindings in guard.bindings.items()
        for binding in bindings
        if isinstance(binding.definition, Function) and any(site.name == "call_next" for site in binding.definition.calls)
    }


EXAMPLES = [
    Bad("""
        import os
        from fastapi import Depends, FastAPI

        app = FastAPI()

        @app.middleware("http")
        async def auth(request, call_next):
            jwt_secret = os.getenv("JWT_SECRET")
            if not jwt_secret:  # found
                return await call_next(request)
            return await call_next(request)

        def verify_key(key: str = ""):
            if not os.environ.get("API_KEY"):  # found
                return True

        async def tokens(request, call_next):
            async def go_on():
                return await call_next(request)

            auth_token = os.getenv("AUTH_TOKEN")
            if not auth_token:  # found
                return await go_on()

        app.middleware("http")(tokens)

        @app.get("/")
        def root(_=Depends(verify_key)): ...
    """),
    Good("""
        import os
        from fastapi import FastAPI, Response

        app = FastAPI()

        @app.middleware("http")
        async def auth(request, call_next):
            secret = os.getenv("JWT_SECRET")
            if not secret:
                raise RuntimeError("JWT_SECRET is not set")
            if request.url.path in {"/docs", "/health"}:
                return await call_next(request)
            api_key = request.headers.get("x-api-key")
            if not api_key:
                return Response(status_code=401)
            return await call_next(request)
    """),
    Good(
        """
        from fastapi import Depends, FastAPI, HTTPException, Request
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            auth_enabled: bool = True
            api_key: str | None = None

        settings = Settings()
        app = FastAPI()

        def verify_key(request: Request):
            if not settings.auth_enabled:
                return None
            if settings.api_key is None:
                raise HTTPException(503)
            if request.headers.get("x-api-key") != settings.api_key:
                raise HTTPException(401)

        @app.get("/", dependencies=[Depends(verify_key)])
        def root(): ...
    """,
        "a mode that says its name lets in, a missing secret does not",
    ),
    Good(
        """
        import os
        from fastapi import Depends, FastAPI, Header

        app = FastAPI()
        SIGNING_KEY = os.environ["SIGNING_KEY"]

        def current_user_or_none(api_key: str | None = Header(None)):
            if not api_key:
                return None
            return api_key == SIGNING_KEY

        @app.middleware("http")
        async def secret_of_webhooks(request, call_next):
            token = os.environ.get("WEBHOOK_TOKEN")
            if not token:
                request.state.trusted = False
            return await call_next(request)

        @app.get("/")
        def root(user=Depends(current_user_or_none)): ...
    """,
        "the secret that is missing is the caller's, who stays a stranger",
    ),
]
