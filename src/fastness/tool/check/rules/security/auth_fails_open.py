"""Without its secret the service lets everybody in.

`if not SECRET: return await call_next(request)` was written for a developer's machine. In production the variable is
misspelt once, nothing fails, every test passes, and every request is somebody's. `if SECRET and given != SECRET: raise` is
the same, and so is a signature that is verified only if the client sends one, or a token that counts as not revoked when
Redis does not answer. `Depends(require_role)` of a function that only makes the check never runs it.

Refuse to start without the secret; make the development mode a setting that says so by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial

from fastness.tool.check.knowledge.access import standing
from fastness.tool.check.knowledge.access.bypasses import bound_by_calls, bypasses
from fastness.tool.check.knowledge.access.configured import asks_for, may_be_missing, missing_secret, set_secret
from fastness.tool.check.knowledge.access.letting_in import lets_in, refuses, unasked
from fastness.tool.check.knowledge.access.standing import VERIFIES
from fastness.tool.check.knowledge.facts.reach import from_requests
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function, constant, handed_on, last_name
from fastness.tool.project.source.walk import own, walk

_SIGNATURE = re.compile(r"signature|(?:^|_)sig(?:$|_)|hmac", re.IGNORECASE)
_OPTIONAL = re.compile(r"captcha|turnstile|licen[cs]e|password", re.IGNORECASE)  # a check that a service may do without


@rule(severity=Severity.ERROR, practice="6.1", help="refuse to start without the secret, instead of letting everybody in")
def check(service: Service) -> Iterator[Found]:
    guards = standing.guards(service)
    for guard in guards:
        for node in guard.of(ast.If):
            if (name := missing_secret(node.test, guard)) and lets_in(node.body, guard):
                yield found(guard, node, f"without {name}, {guard.qualified} lets every request through")
        yield from _checked_if_set(guard)
    for guard in {**guards, **standing.asked_by(guards, service)}:
        if guard.module.is_service:
            yield from (found(guard, node, told) for node, told in bypasses(service.resolver, guard))
    for guard, inner, uses in standing.never_run(service):
        evidence = [proof(use.scope, use.node, "and nobody calls it") for use in uses]
        message = f"{guard.qualified} only makes {inner.qualified}, which nobody runs: it refuses no request"
        yield found(guard, guard.node, message, *evidence, count=len(uses))
    for function in from_requests(service):
        if function not in guards:
            yield from service.notes.search("verified if set", function, partial(_verified_if_set, function))
        yield from service.notes.search("verified if sent", function, partial(_verified_if_sent, function))
        yield from service.notes.search("let in unasked", function, partial(_let_in_unasked, function))


def _checked_if_set(guard: Function) -> Iterator[Found]:
    """`if SECRET and given != SECRET: raise`, and nothing else in this guard refuses anybody."""
    for node in guard.nodes:
        if isinstance(node, ast.If) and (name := set_secret(node.test, guard)) and refuses(own(node.body)):
            inside = {id(part) for part in (*own(node.body), *walk(node.test))}
            others = [part for part in guard.nodes if id(part) not in inside]
            if not refuses(others) and not any(isinstance(n, ast.Call) and VERIFIES.search(last_name(n)) for n in others):
                yield found(guard, node, f"without {name}, {guard.qualified} lets every request through")


def _let_in_unasked(function: Function) -> Iterator[Found]:
    for handler, told in unasked(function):
        yield found(function, handler, f"when it cannot ask, {function.qualified} {told}")


def _verified_if_set(function: Function) -> Iterator[Found]:
    """`if SECRET: verify(...)` with nothing in its place, and `if not SECRET: return True` of what verifies."""
    verifies = VERIFIES.search(function.name) or any(VERIFIES.search(site.name) for site in function.calls)
    for node in function.of(ast.If) if verifies else ():
        name = None if _OPTIONAL.search(ast.unparse(node.test)) else set_secret(node.test, function)
        calls = [part for part in (*own(node.body), *walk(node.test)) if isinstance(part, ast.Call)]
        checked = name is not None and any(VERIFIES.search(last_name(call)) for call in calls)
        if checked and not refuses(own(node.orelse)) and not asks_for(name or "", function):
            yield found(function, node, f"without {name}, {function.qualified} takes every request for genuine")
        missing = missing_secret(node.test, function)
        agrees = any(isinstance(part, ast.Return) and constant(part.value) is True for part in own(node.body))
        if missing and ((agrees and VERIFIES.search(function.name)) or _taken_as_it_is(node)):
            yield found(function, node, f"without {missing}, {function.qualified} takes every request for genuine")


def _taken_as_it_is(branch: ast.If) -> bool:
    """`if not SECRET: event = json.loads(body) else: event = verify(body, SECRET)`."""
    if any(isinstance(node, ast.Raise | ast.Return) for node in own(branch.body)):
        return False
    unverified, verified = bound_by_calls(branch.body), bound_by_calls(branch.orelse)
    return any(VERIFIES.search(last_name(call)) and name in unverified for name, call in verified.items())


def _verified_if_sent(function: Function) -> Iterator[Found]:
    """`if signature and not verify(data, signature): raise`, where who sends none is not refused."""
    if not any(_SIGNATURE.search(name) for name in function.bindings):
        return
    for node in function.of(ast.If):
        if not isinstance(node.test, ast.BoolOp) or not isinstance(node.test.op, ast.And):
            continue
        sent, *others = node.test.values
        name = sent.id if isinstance(sent, ast.Name) else ""
        if not _SIGNATURE.search(name) or not may_be_missing(name, function) or not refuses(own(node.body)):
            continue
        calls = [
            part for other in others for part in walk(other) if isinstance(part, ast.Call) and VERIFIES.search(last_name(part))
        ]
        if any(name in map(last_name, handed_on(call)) for call in calls) and not asks_for(name, function):
            yield found(function, node, f"{function.qualified} verifies {name} only if one is sent")


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
    Bad("""
        import hmac
        from fastapi import Depends, FastAPI, Header, HTTPException, Request
        from app.settings import settings

        app = FastAPI()

        def check_key(key: str = Header("")):
            if settings.api_keys:  # found
                if key not in settings.api_keys:
                    raise HTTPException(401)
                return key
            else:
                return None

        def check_token(token: str = Header("")):
            if settings.auth_token and token != settings.auth_token:  # found
                raise HTTPException(401)

        @app.get("/", dependencies=[Depends(check_key), Depends(check_token)])
        def root(): ...

        class Payments:
            def verify_webhook(self, body, signature):
                if not self.webhook_secret:  # found
                    return True
                return hmac.compare_digest(body, signature)

            def take(self, body, signature=None):
                if signature and not self.verify_webhook(body, signature):  # found
                    return False
                return True

        @app.post("/hooks/payments")
        async def paid(request: Request, x_signature: str | None = Header(None)):
            return Payments().take(await request.body(), x_signature)

        @app.post("/hooks/mails")
        async def mailed(request: Request, x_signature: str = Header()):
            if settings.webhook_secret:  # found
                if not hmac.compare_digest(x_signature, await request.body()):
                    raise HTTPException(401)
    """),
    Bad("""
        # file: app/settings.py
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            environment: str = "development"
            webhook_secret: str = ""

            @property
            def is_development(self) -> bool:
                return self.environment.lower() in ("dev", "development")

        settings = Settings()
        # file: app/security.py
        import base64
        import json
        from fastapi import Header, HTTPException
        from app.settings import settings

        def verify_token(token):
            try:
                return provider.verify(token)
            except Exception:
                return json.loads(base64.urlsafe_b64decode(token.split(".")[1]))  # found

        async def get_current_user(authorization: str | None = Header(None)):
            if not authorization:
                if settings.is_development:  # found
                    return {"id": "somebody"}
                raise HTTPException(401)
            return verify_token(authorization)

        async def get_current_admin(x_token: str = Header()):
            if x_token == "sesame-of-admins":  # found
                return first_admin()
            raise HTTPException(401)

        async def get_current_user_id() -> str:
            return "somebody"  # found
        # file: app/main.py
        import json
        import payments
        from fastapi import Depends, FastAPI, Request
        from app.security import get_current_admin, get_current_user, get_current_user_id
        from app.settings import settings

        app = FastAPI()

        @app.get("/")
        def root(a=Depends(get_current_user), b=Depends(get_current_admin), c=Depends(get_current_user_id)): ...

        @app.post("/hooks/payments")
        async def paid(request: Request):
            if not settings.webhook_secret:  # found
                event = json.loads(await request.body())
            else:
                event = payments.construct_event(await request.body(), settings.webhook_secret)
            return event["type"]
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
    Good(
        """
        import hmac
        from fastapi import Depends, FastAPI, Header, HTTPException, Request
        from app.settings import settings

        app = FastAPI()

        def check_key(key: str = Header("")):
            if settings.api_key and key == settings.api_key:
                return key
            raise HTTPException(401)

        def check_token(token: str = Header("")):
            if settings.auth_token and token == settings.auth_token:
                return token
            return verify_session(token)

        def verify_session(token): ...

        @app.get("/", dependencies=[Depends(check_key), Depends(check_token)])
        def root(): ...

        @app.post("/hooks/mails")
        async def mailed(request: Request, x_signature: str | None = Header(None)):
            if settings.webhook_secret is None:
                raise HTTPException(503)
            if settings.webhook_secret and not hmac.compare_digest(x_signature, await request.body()):
                raise HTTPException(401)

        @app.post("/hooks/payments")
        async def paid(request: Request, x_signature: str | None = Header(None)):
            if not x_signature:
                raise HTTPException(401)
            if x_signature and not hmac.compare_digest(x_signature, await request.body()):
                raise HTTPException(401)
    """,
        "what is missing is refused as well",
    ),
    Good(
        """
        import base64
        import json
        import os
        from fastapi import Depends, FastAPI, Header, HTTPException

        app = FastAPI()
        ENVIRONMENT = os.getenv("ENVIRONMENT", "production")

        async def get_current_user(authorization: str = Header("")):
            if ENVIRONMENT == "development":
                if authorization == "sesame-of-all":
                    return {"id": "somebody"}
                return json.loads(base64.urlsafe_b64decode(authorization.split(".")[1]))
            if authorization == "Bearer":
                return None
            raise HTTPException(401)

        @app.get("/")
        def root(user=Depends(get_current_user)): ...
    """,
        "what is for development is off unless somebody switches it on",
    ),
]
