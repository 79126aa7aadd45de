"""A login can be tried without limit.

Whoever answers a password, a code or a reset link without counting the attempts lets them be guessed: a botnet tries
a leaked list of millions of passwords in a night, and each try costs this service a deliberately slow hash.

Limit by client and by account: a dependency, a decorator or a middleware. When the app is booted, the dependencies and the
middleware that it really has count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.access import declared, limits
from fastness.tool.check.knowledge.access.proofs import takes_what_nobody_guesses
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.routes import Dependency, Route
from fastness.tool.project.source.symbols import Class, Function, last_name

_LOGIN = re.compile(
    r"(?:^|[/_-])(?:login|log-in|signin|sign-in|access-token|access_token|token|authenticate|password-recovery|forgot-password"
    r"|forgot_password|reset-password|reset_password|change-password|change_password|forgot|request-otp|verify-otp|otp|magic-link"
    r"|(?:verify|confirm|check|validate|resend|send)[_-](?:code|pin|otp|totp|mfa|2fa)|verification[_-]code|2fa|mfa|totp)"
    r"(?:$|[/_-])",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"(?:^|[/_-])(?:reset|authori[sz]e)(?:$|[/_-])|/auth/?$", re.IGNORECASE)  # a password, or anything
_ACCOUNT = re.compile(r"password|passwd|email", re.IGNORECASE)
_CREDENTIALS = re.compile(r"password|passwd|otp|code|email|username|credential", re.IGNORECASE)
_FORM = "OAuth2PasswordRequestForm"
_CALLER = re.compile(
    r"current_?(?:active_)?(?:user|super|admin)|\bget_(?:\w+_)?(?:user|claims|account)\b|verify_\w+key|admin_?user|superuser"
    r"|login_?required|authenticated|jwt_?auth|hmac|signature|require_?(?:user|login|auth)|permissions?(?:\b|_?(?:required|check))",
    re.IGNORECASE,
)
_LIMITS = re.compile(r"limit|throttl|slowdown|brute", re.IGNORECASE)
_LIMITER = re.compile(r"ratelimit|slowapi|throttl|limiter", re.IGNORECASE)
_NOT_A_TRY = re.compile(
    r"refresh|revoke|logout|test|validate|callback|verify_token|fcm|device|push|csrf|google|facebook|github|oauth",
    re.IGNORECASE,
)


@rule(
    severity=Severity.WARNING,
    practice="6.5",
    help="limit attempts by client and by account",
)
def check(service: Service, served: Served | None) -> Iterator[Found]:
    limiting = [one for one in service.middleware if _names_limit(one.cls) and limits.holds_for_all(service, one)]
    if served is not None and any(
        _LIMITER.search(entry.name) and not limits.only_as_decorated(service, entry.name)
        for app in served.app.apps
        for entry in app.middleware
    ):
        return
    seen = set()
    for route in service.routes:
        if route.handler in seen or not _is_login(service, route) or _limited(service, route) or _knows_caller(service, route):
            continue
        if served is not None and _all_limited(served, route.handler):
            continue
        paths = service.prefixes(route)
        if limiting and all(any(not limits.lets_pass(service, one, path) for one in limiting) for path in paths):
            continue
        seen.add(route.handler)
        yield found(route.handler, route.handler.node, f"{route.path or route.handler.name} can be tried without limit")


def _all_limited(served: Served, handler: Function) -> bool:
    """It is served, and everywhere behind a limit, whoever put it there."""
    booted = served.routes(handler)
    return bool(booted) and all(
        any(step.callee is not None and _LIMITS.search(step.callee.name) for step in route.tree()) for route in booted
    )


def _knows_caller(service: Service, route: Route) -> bool:
    """Only somebody who is logged in gets here."""
    return any(_CALLER.search(_target_name(dependency) + _text(dependency)) for dependency in service.tree(route))


def _is_login(service: Service, route: Route) -> bool:
    if "POST" not in route.methods or route.handler.module.is_test:
        return False
    if any(_target_name(dependency) == _FORM for dependency in service.parameters(route.handler)):
        return True
    path = _path(route)
    if _NOT_A_TRY.search(f"{path}/{route.handler.name}") or takes_what_nobody_guesses(service, route):
        return False
    if _LOGIN.search(path):
        return declared.declares(service, route, _CREDENTIALS) or declared.takes_from_request(service, route)
    return bool(_MAYBE.search(path)) and declared.declares(service, route, _ACCOUNT)


def _path(route: Route) -> str:
    """What the operation is called by: the router's prefix where the operation itself adds no word."""
    path = route.path or ""
    has_word = re.search(r"\w", re.sub(r"\{.*?\}", "", path))
    return path if has_word or route.router is None else f"{route.router.prefix or ''}{path}"


def _limited(service: Service, route: Route) -> bool:
    if any(_LIMITS.search(ast.unparse(decorator)) for decorator in route.handler.decorators):
        return True
    if any(_LIMITS.search(_target_name(dependency) + _text(dependency)) for dependency in service.tree(route)):
        return True
    if limits.counts_tries(route.handler) or any(_LIMITS.search(last_name(site.node.func)) for site in route.handler.calls):
        return True
    return any(limits.counts_tries(edge.target) for edge in service.graph.edges(route.handler))


def _text(dependency: Dependency) -> str:
    return ast.unparse(dependency.node)


def _target_name(dependency: Dependency) -> str:
    target = dependency.target
    return target.name if isinstance(target, Function | Class) else target.last if isinstance(target, External) else ""


def _names_limit(cls: Class | External | None) -> bool:
    name = cls.name if isinstance(cls, Class) else cls.last if isinstance(cls, External) else ""
    return bool(_LIMITER.search(name))


EXAMPLES = [
    Bad("""
        from fastapi import Depends, FastAPI
        from fastapi.security import OAuth2PasswordRequestForm

        app = FastAPI()

        @app.post("/auth")
        def auth(form: OAuth2PasswordRequestForm = Depends()):  # found
            return form.username

        @app.post("/login")
        def login(email: str, password: str):  # found
            return email
    """),
    Bad("""
        from typing import Annotated
        from fastapi import APIRouter, Body, Depends, FastAPI, Request
        from fastapi.security import HTTPBasicCredentials

        app = FastAPI()

        @app.api_route("/forgot", methods=["GET", "POST"])
        async def forgot(request: Request):  # found
            form = await request.form()
            return form["email"]

        @app.post("/login/docs")
        async def for_docs(given: Annotated[HTTPBasicCredentials, Depends()]): ...  # found

        @app.post("/forgot-password")
        async def forgotten(data: dict[str, str]):  # found
            return data.get("email")

        @app.post("/verify-code")
        def verify(email: str, code: str): ...  # found

        codes = APIRouter(prefix="/verify-otp")

        @codes.post("")
        def check(email: str, code: str): ...  # found

        @app.post("/change_password_public")
        def change(person: str = Body(), password: str = Body()): ...  # found

        def get_user_manager(): ...

        def permissions_getter(): ...

        @app.post("/password/reset")
        def reset(password: str, manager=Depends(get_user_manager), read=Depends(permissions_getter)): ...  # found
    """),
    Bad("""
        from fastapi import FastAPI, Request
        from slowapi import Limiter
        from slowapi.middleware import SlowAPIMiddleware
        from slowapi.util import get_remote_address

        limiter = Limiter(key_func=get_remote_address)
        app = FastAPI()
        app.add_middleware(SlowAPIMiddleware)

        @app.post("/login")
        @limiter.limit("5/minute")
        def login(request: Request, email: str, password: str): ...

        @app.post("/reset-password")
        def reset(request: Request, token: str, password: str): ...  # found
    """),
    Bad(
        """
        from fastapi import APIRouter, FastAPI

        router = APIRouter()

        @router.post("/login")
        def login(email: str, password: str) -> str:  # found
            return email

        app = FastAPI()
        app.include_router(router)
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastness.ratelimit import RateLimit

        router = APIRouter()

        @router.post("/login")
        def login(email: str, password: str) -> str:
            return email

        app = FastAPI()
        for limit in ("10/minute",):
            app.include_router(router, **{"dependencies": [Depends(RateLimit(limit))]})
    """,
        "the booted route is limited, which the sources do not show",
        booted=True,
    ),
    Good("""
        from fastapi import Depends, FastAPI, Request
        from fastapi.security import OAuth2PasswordRequestForm
        from fastapi_limiter.depends import RateLimiter

        app = FastAPI()

        @app.post("/token", dependencies=[Depends(RateLimiter(times=5, seconds=60))])
        def token(form: OAuth2PasswordRequestForm = Depends()):
            return form.username

        @app.post("/refresh-token")
        def refresh(token: str):
            return token

        def get_current_user(): ...

        @app.post("/users/{id}/reset-password")
        def reset(id: int, password: str, user=Depends(get_current_user)):
            return id

        @app.get("/login")
        def page():
            return "form"

        class Caller:
            @classmethod
            def get_login_user(cls): ...

        @app.post("/change-password")
        def change(password: str, caller: Caller = Depends(Caller.get_login_user)): ...

        def verify_hmac(request: Request): ...

        @app.post("/internal/login", dependencies=[Depends(verify_hmac)])
        def of_gateway(username: str): ...

        def is_authenticated_admin(): ...

        @app.post("/users/{id}/token", dependencies=[Depends(is_authenticated_admin)])
        def token_of(id: int, username: str): ...

        @app.post("/counters/reset")
        async def reset_counters(request: Request):
            return await request.body()

        @app.post("/settings/reset")
        async def reset_settings(request: Request):
            settings = await request.json()
            return settings["email"]

        @app.post("/cache/reset")
        async def reset_cache(code: str): ...

        def verify_api_key(): ...

        @app.post("/keys/token", dependencies=[Depends(verify_api_key)])
        async def token_of_key(code: str): ...

        def get_user(): ...

        @app.post("/me/change-password")
        async def change_mine(password: str, user=Depends(get_user)): ...
    """),
    Good(
        """
        from fastapi import Depends, FastAPI
        from fastapi.security import OAuth2PasswordRequestForm
        from slowapi import Limiter
        from slowapi.middleware import SlowAPIMiddleware

        limiter = Limiter(key_func=str, default_limits=["60/minute"])
        app = FastAPI()
        app.add_middleware(SlowAPIMiddleware)

        @app.post("/token")
        def token(form: OAuth2PasswordRequestForm = Depends()):
            return form.username
    """,
        "the middleware limits everything",
    ),
    Bad("""
        from fastapi import FastAPI
        from slowapi.middleware import SlowAPIMiddleware

        class PublicRateLimit(SlowAPIMiddleware):
            async def dispatch(self, request, call_next):
                path = request.url.path
                is_public = path.startswith(("/api/public", "/api/shop")) or "/public/" in path
                if not is_public:
                    return await call_next(request)
                return await super().dispatch(request, call_next)

        app = FastAPI()
        app.add_middleware(PublicRateLimit)

        @app.post("/api/shop/login")
        def login(username: str, password: str): ...

        @app.post("/api/admin/auth")
        def login_admin(username: str, password: str): ...  # found
    """),
    Good(
        """
        from uuid import UUID
        from fastapi import FastAPI, HTTPException
        from pydantic import BaseModel, Field

        class Reset(BaseModel):
            code: str = Field(min_length=32, max_length=32)
            password: str

        class Renewal(BaseModel):
            refresh_token: str
            email: str

        app = FastAPI()

        @app.post("/login")
        def login(email: str, password: str):
            raise HTTPException(status_code=429)

        class Users:
            def log_in(self, user):
                user.failed_attempts += 1

        @app.post("/token")
        def token(username: str, password: str):
            return Users().log_in(username)

        @app.post("/reset-password")
        def reset(given: Reset): ...

        @app.post("/otp")
        def by_link(code: UUID, email: str): ...

        @app.post("/access_token")
        def renew(given: Renewal): ...
    """,
        "tries are counted, in the endpoint or by what it calls, or nobody can guess what is asked for",
    ),
    Good(
        """
        from fastapi import FastAPI
        from ratelimit import RateLimitMiddleware

        def limiter(app, redis):
            return RateLimitMiddleware(app, redis)

        app = FastAPI()
        app.add_middleware(limiter, redis=None)

        @app.post("/login")
        def login(username: str, password: str): ...
    """,
        "a function makes the middleware that limits",
    ),
]
