"""What asks who is calling: dependencies, decorators, middleware, and endpoints that do it themselves."""

from __future__ import annotations

import ast
import re

from fastness.tool.boot.app import BootedDependency
from fastness.tool.check.knowledge.served import Served
from fastness.tool.project import Service
from fastness.tool.project.routes import Dependency, Route
from fastness.tool.project.symbols import Class, Function, last_name
from fastness.tool.project.values import External

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
_CREDENTIAL = re.compile(r"api_?key|authorization|token", re.IGNORECASE)
_SAYS_WHO = "starlette.middleware.authentication.AuthenticationMiddleware"


def guards(service: Service, route: Route, served: Served | None) -> bool:
    booted = served.routes(route.handler) if served is not None else []
    if booted:
        return all(any(map(_is_booted_guard, one.tree())) for one in booted) or _guarded_inside(route.handler)
    return any(is_guard(dependency) for dependency in service.tree(route)) or _guarded_inside(route.handler)


def is_guard(dependency: Dependency) -> bool:
    target = dependency.target
    if dependency.security:
        return True
    if isinstance(target, External):
        return target.path.startswith(_SCHEMES) or bool(_GUARD.search(target.path))
    name = target.name if isinstance(target, Function | Class) else ""
    return bool(_GUARD.search(name) or _GUARD.search(ast.unparse(dependency.node)))


def only_wants_header(service: Service, route: Route) -> bool:
    """`dependencies=[Depends(HTTPBearer())]` refuses who sends no token; whether it is one, nobody looks."""
    guards = [dependency for dependency in service.tree(route) if is_guard(dependency)]
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


def is_starlettes(service: Service, cls: Class | External) -> bool:
    bases = [cls] if isinstance(cls, External) else service.resolver.mro(cls)
    return any(isinstance(base, External) and base.path == _SAYS_WHO for base in bases)


def names_guard(service: Service, cls: Class | External) -> bool:
    """Starlette's own is none: it says who is calling, and lets strangers pass."""
    return not is_starlettes(service, cls) and is_guard_name(cls.name if isinstance(cls, Class) else cls.last)


def is_guard_name(name: str) -> bool:
    return bool(re.search(r"auth|jwt|token|api_?key", name, re.IGNORECASE)) and not re.search(
        r"session|oauthlib", name, re.IGNORECASE
    )
