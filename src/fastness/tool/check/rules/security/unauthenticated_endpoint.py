"""One endpoint is open where its siblings are guarded.

Most of this router's operations ask who is calling, and this one does not. That is how a new endpoint leaks: it was copied,
the guard was forgotten, every test passes.

Put the guard on the router, so that a new endpoint has it; make what is public say so, in a router of its own. When the app
is booted, the dependencies that its routes really have decide.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from fastness.tool.boot.app import BootedDependency
from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.resolve import own_nodes
from fastness.tool.project.routes import Dependency, Route
from fastness.tool.project.symbols import Class, Function, last_name
from fastness.tool.project.values import External
from fastness.tool.project.walk import walk

_GUARD = re.compile(
    r"auth(?!or(?:s|$|_))|current_?(?:active_)?(?:user|super|admin|account|tenant|org)|login|require|permission|api_?key|token|jwt|bearer"
    r"|principal|credential|verify|superuser|is_admin|protected|oauth|signature|security|role|user_?(?:from|by)|get_user|identity|access",
    re.IGNORECASE,
)
_ASKS = re.compile(r"jwt_required|require_|permission|authenticate|authori[sz]e|verify_|is_allowed|check_access", re.IGNORECASE)
_REFUSES = re.compile(
    r"\b40[13]\b|UNAUTHORIZED|FORBIDDEN|Unauthori[sz]ed|Forbidden|NotAuthenticated|PermissionDenied|AccessDenied"
)
_SCHEMES = ("fastapi.security.",)
_PUBLIC = re.compile(
    r"login|logout|sign|regist(?:er|ration)?(?:$|[\W_])|captcha|marketplace|token|refresh|password|verify|confirm|activate|callback|webhook|health|status|public|otp|oauth|auth"
    r"|magic|invite|invitation|docs|openapi|metrics|csrf|session|unsubscribe|contact|newsletter|subscribe|ping|version|^/?$|reset"
    r"|recover|sso|google|facebook|github|twitter|config|slack|discord|test|static|\.well-known|ready|email|schema|logo|icon|favicon",
    re.IGNORECASE,
)
# What speaks of persons and money is no public content, even where other reads are.
_PERSONAL = re.compile(
    r"(?<![a-z])(?:user(?!name)|member|account|customer|client|patient|employee|staff|admin|payment|invoice|order|transaction"
    r"|notification|message|logs?\b|audit|export|report|contract|document)",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(r"api_?key|authorization|token", re.IGNORECASE)
_SAYS_WHO = "starlette.middleware.authentication.AuthenticationMiddleware"
_MOST = 0.8
_SHARE = 0.5  # of the siblings that are guarded
_FEWEST = 2


@rule(severity=Severity.WARNING, practice="6.1", help="guard the router, and put what is public in a router of its own")
def check(service: Service, served: Served | None) -> Iterator[Found]:
    siblings: dict[Module, list[Route]] = defaultdict(list)
    for route in service.routes:
        if not route.handler.module.is_test and not route.is_websocket:
            siblings[route.handler.module].append(route)
    if any(_names_guard(service, m.cls) for m in service.middleware if m.cls is not None):
        return  # everything is guarded, or exempt, in one place
    if served is not None and any(_is_guard_name(m.name.rpartition(".")[2]) for a in served.app.apps for m in a.middleware):
        return
    says_who = any(_is_starlettes(service, m.cls) for m in service.middleware if m.cls is not None)
    for routes in siblings.values():
        protected = {route for route in routes if _guards(service, route, served)}
        if served is None and not says_who:
            verified = {route for route in protected if not _only_wants_header(service, route)}
            protected = verified if len(verified) / len(routes) >= _MOST else protected
        for route in routes if len(protected) >= _FEWEST else ():
            like = routes if len(protected) / len(routes) >= _SHARE else [one for one in routes if one.writes]
            guarded = [one for one in like if one in protected]
            if route in protected or route not in like or len(guarded) < _FEWEST or len(guarded) / len(like) < _SHARE:
                continue
            if _PUBLIC.search(f"{route.path} {route.handler.name}") or _gives_nothing(route.handler):
                continue
            if _is_public_content(route, guarded):
                continue
            lacks = "looks at no token, only for one" if _only_wants_header(service, route) else "asks for no credentials"
            message = (
                f"{'/'.join(sorted(route.methods))} {route.path} ({route.handler.qualified}) {lacks}; "
                f"{len(guarded)} of its {len(like) - 1} siblings do"
            )
            example = guarded[0]
            yield found(
                route.handler,
                route.handler.node,
                message,
                proof(example.handler, example.handler.node, "a guarded sibling"),
                source="boot" if served is not None and served.routes(route.handler) else None,
            )


def _is_public_content(route: Route, guarded: list[Route]) -> bool:
    """It only reads, and so does none of its guarded siblings: everybody may read what some may write."""
    reads = route.methods <= {"GET", "HEAD"}
    return reads and not _PERSONAL.search(f"{route.path} {route.handler.name}") and not any("GET" in g.methods for g in guarded)


def _gives_nothing(handler: Function) -> bool:
    """It takes nothing and returns a literal, or a response made of one: there is nothing to guard."""
    names = {
        name
        for node in own_nodes(handler, ast.Return)
        for part in (walk(node.value) if node.value is not None else ())
        if (name := last_name(part) if isinstance(part, ast.Call) else part.id if isinstance(part, ast.Name) else None)
    }
    return all(name.endswith("Response") or name == "status" for name in names) and not any(True for _ in handler.parameters)


def _guards(service: Service, route: Route, served: Served | None) -> bool:
    booted = served.routes(route.handler) if served is not None else []
    if booted:
        return all(any(map(_is_booted_guard, one.tree())) for one in booted) or _guarded_inside(route.handler)
    return any(_is_guard(dependency) for dependency in service.tree(route)) or _guarded_inside(route.handler)


def _is_guard(dependency: Dependency) -> bool:
    target = dependency.target
    if dependency.security:
        return True
    if isinstance(target, External):
        return target.path.startswith(_SCHEMES) or bool(_GUARD.search(target.path))
    name = target.name if isinstance(target, Function | Class) else ""
    return bool(_GUARD.search(name) or _GUARD.search(ast.unparse(dependency.node)))


def _only_wants_header(service: Service, route: Route) -> bool:
    """`dependencies=[Depends(HTTPBearer())]` refuses who sends no token; whether it is one, nobody looks."""
    guards = [dependency for dependency in service.tree(route) if _is_guard(dependency)]
    schemes = [
        dependency.parameter is None and isinstance(dependency.target, External) and dependency.target.path.startswith(_SCHEMES)
        for dependency in guards
    ]
    return bool(schemes) and all(schemes) and not _guarded_inside(route.handler)


def _is_booted_guard(dependency: BootedDependency) -> bool:
    name = dependency.callee.name if dependency.callee is not None else ""
    return dependency.scheme or bool(dependency.scopes) or bool(_GUARD.search(name.rpartition(".")[2]))


def _guarded_inside(handler: Function) -> bool:
    """A decorator guards, or the body's calls do: `Authorize.jwt_required()`."""
    if any(_GUARD.search(ast.unparse(decorator).partition("(")[0].rpartition(".")[2]) for decorator in handler.decorators):
        return True
    if any(_takes_credential(parameter, default) for parameter, default in handler.parameters):
        return True
    return any(_ASKS.search(site.name) for site in handler.calls) or any(
        isinstance(node, ast.Raise) and node.exc is not None and _REFUSES.search(ast.unparse(node.exc))
        for node in handler.nodes
    )


def _takes_credential(parameter: ast.arg, default: ast.expr | None) -> bool:
    """`x_api_key: str | None = Header(None)`: it looks at who is calling itself, and answers strangers what they may see."""
    declared = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
    comes_along = last_name(default) in {"Header", "Cookie"} if isinstance(default, ast.Call) else "Header(" in declared
    return comes_along and bool(_CREDENTIAL.search(parameter.arg))


def _is_starlettes(service: Service, cls: Class | External) -> bool:
    bases = [cls] if isinstance(cls, External) else service.resolver.mro(cls)
    return any(isinstance(base, External) and base.path == _SAYS_WHO for base in bases)


def _names_guard(service: Service, cls: Class | External) -> bool:
    """Starlette's own is none: it says who is calling, and lets strangers pass."""
    return not _is_starlettes(service, cls) and _is_guard_name(cls.name if isinstance(cls, Class) else cls.last)


def _is_guard_name(name: str) -> bool:
    return bool(re.search(r"auth|jwt|token|api_?key", name, re.IGNORECASE)) and not re.search(
        r"session|oauthlib", name, re.IGNORECASE
    )


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, Depends

        router = APIRouter()

        def current_user(): ...

        @router.get("/items")
        def items(user=Depends(current_user)): ...

        @router.post("/items")
        def create(user=Depends(current_user)): ...

        def load(): ...

        @router.get("/items/all")
        def everything():  # found
            return load()
    """),
    Bad("""
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.responses import JSONResponse
        from starlette.middleware.authentication import AuthenticationMiddleware

        app = FastAPI()
        app.add_middleware(AuthenticationMiddleware)
        router = APIRouter()

        def current_user(): ...

        def load(): ...

        @router.get("/items")
        def items():
            return load()

        @router.get("/items/new")
        def new():
            return load()

        @router.get("/items/{id}")
        def one(id: int):
            return load()

        @router.post("/items")
        def create(user=Depends(current_user)): ...

        @router.put("/items/{id}")
        def change(id: int, user=Depends(current_user)): ...

        @router.delete("/items/{id}")
        def delete(id: int):  # found
            load()

        @router.patch("/items/{id}")
        def price(id: int, user=Depends(current_user)): ...

        @router.post("/users")
        def register_user(name: str):
            load()

        @router.post("/items/all")
        def gone():
            return JSONResponse(status_code=410, content={"detail": "gone"})
    """),
    Bad("""
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer
        from fastapi_jwt_auth import AuthJWT

        router = APIRouter(dependencies=[Depends(HTTPBearer())])

        def load(): ...

        @router.get("/orders")
        def orders(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/items")
        def items(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/prices")
        def prices(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/refunds")
        def refunds(auth: AuthJWT = Depends()):
            auth.jwt_required()
            return load()

        @router.get("/reports")
        def reports():  # found
            return load()
    """),
    Bad(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        app = FastAPI()
        router = APIRouter()

        def guarded():
            return [Depends(bearer)]

        @router.get("/a", dependencies=guarded())
        def a() -> int: ...

        @router.get("/b", dependencies=guarded())
        def b() -> int: ...

        @router.delete("/c/{number}")
        def c(number: int) -> int:  # found
            return number

        app.include_router(router)
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        app = FastAPI()
        router = APIRouter()

        @router.get("/a", dependencies=[Depends(bearer)])
        def a() -> int: ...

        @router.get("/b", dependencies=[Depends(bearer)])
        def b() -> int: ...

        @router.delete("/c/{number}")
        def c(number: int) -> int:
            return number

        for included, options in ((router, {"dependencies": [Depends(bearer)]}),):
            app.include_router(included, **options)
    """,
        "the booted route has the guard that the sources do not show",
        booted=True,
    ),
    Good("""
        from typing import Annotated
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        router = APIRouter(dependencies=[Depends(bearer)])
        mixed = APIRouter()

        def current_user(): ...

        class Common:
            def __init__(self, user=Depends(current_user)): ...

        @router.get("/items")
        def items(): ...

        @mixed.get("/a")
        def a(common: Annotated[Common, Depends()]): ...

        @mixed.get("/b", dependencies=[Depends(current_user)])
        def b(): ...

        @mixed.post("/login")
        def login(name: str):
            return name

        @mixed.get("/motd")
        def motd():
            return {"message": "hello"}

        app = FastAPI()
        app.include_router(router)
    """),
    Good(
        """
        from fastapi import APIRouter, Depends

        router = APIRouter()

        def current_user(): ...

        def load(): ...

        @router.get("/{username}/posts")
        def posts():
            return load()

        @router.post("/posts")
        def create(user=Depends(current_user)): ...

        @router.delete("/posts/{id}")
        def delete(id: int, user=Depends(current_user)): ...
    """,
        "what only some may write, everybody may read",
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, HTTPException

        router = APIRouter()

        def current_user(): ...

        def is_known(request): ...

        @router.get("/users")
        def users(user=Depends(current_user)): ...

        @router.post("/users")
        def create(user=Depends(current_user)): ...

        @router.get("/users/export")
        def export(request):
            if not is_known(request):
                raise HTTPException(status_code=401)
            return users()
    """,
        "the endpoint refuses strangers itself",
    ),
    Good(
        """
        from typing import Annotated
        from fastapi import APIRouter, Depends, Header

        router = APIRouter()

        def current_user(): ...

        def find(number, key): ...

        @router.get("/payments")
        def payments(user=Depends(current_user)): ...

        @router.post("/payments")
        def pay(user=Depends(current_user)): ...

        @router.get("/payments/{number}")
        def payment(number: int, x_api_key: str | None = Header(None)):
            return find(number, x_api_key)

        @router.get("/payments/{number}/status")
        def state(number: int, authorization: Annotated[str | None, Header()] = None):
            return find(number, authorization)
    """,
        "it takes the key itself, and shows strangers less",
    ),
]
