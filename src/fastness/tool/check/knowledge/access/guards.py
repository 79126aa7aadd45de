"""What asks who is calling: dependencies, decorators, middleware, and endpoints that do it themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.boot.app import BootedDependency
from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.project import Service
from fastness.tool.project.names.values import External, FunctionValue
from fastness.tool.project.routes import Dependency, Route, Router
from fastness.tool.project.source.symbols import CallSite, Class, Function, argument, handed_on, last_name
from fastness.tool.project.source.walk import mentions, walk

_GUARD = re.compile(
    r"auth(?!or(?:s|$|_))|current_?(?:active_)?(?:user|super|admin|account|tenant|org)|login|require|permission|api_?key|token|jwt|bearer"
    r"|principal|credential|verify|superuser|is_admin|protected|oauth|signature|security|role|user_?(?:from|by)|get_user|identity|access",
    re.IGNORECASE,
)
_OPTIONAL = re.compile(r"optional|maybe|_or_|anonymous|guest|try_|_if_", re.IGNORECASE)
_ASKS = re.compile(r"jwt_required|require_|permission|authenticate|authori[sz]e|verify_|is_allowed|check_access", re.IGNORECASE)
_REFUSES = re.compile(
    r"\b40[13]\b|UNAUTHORIZED|FORBIDDEN|Unauthori[sz]ed|Forbidden|NotAuthenticated|PermissionDenied|AccessDenied"
)
_SIGNED = re.compile(r"^_?(?:verify|check|validate)_\w*signature|^construct_event$|^compare_digest$")
_SCHEMES = ("fastapi.security.",)
_CREDENTIAL = re.compile(r"api_?key|authorization|token", re.IGNORECASE)
_SAYS_WHO = "starlette.middleware.authentication.AuthenticationMiddleware"


def guards(service: Service, route: Route, served: Served | None) -> bool:
    booted = served.routes(route.handler) if served is not None else []
    if booted:
        return all(any(map(_is_booted_guard, one.tree())) for one in booted) or _guarded_inside(route.handler)
    return bool(_guards(service, route)) or _guarded_inside(route.handler) or _verifies_signature(service, route)


def _verifies_signature(service: Service, route: Route) -> bool:
    """What a payment provider sends is signed, and what the endpoint calls looks at that."""
    called = reach.near(service, route.handler, 2) if route.methods == {"POST"} else ()
    return any(_SIGNED.search(site.name) for one in called for site in one.calls)


def _guards(service: Service, route: Route) -> list[Dependency]:
    """The dependencies that ask who is calling, and refuse who does not say so."""
    named = [dependency for dependency in service.tree(route) if is_guard(dependency)]
    passing = unheard(service, route)
    # What only looks for a token does not guard where the one that asked it goes on without.
    return [one for one in named if one not in passing and not (passing and _is_lenient(one))] if passing else named


def unheard(service: Service, route: Route) -> list[Dependency]:
    """Dependencies that find out who is calling, whose answer "nobody" the endpoint does not look at."""
    own = service.parameters(route.handler)
    return [one for one in own if is_guard(one) and _lets_strangers_pass(service, one, route.handler)]


def _lets_strangers_pass(service: Service, dependency: Dependency, handler: Function) -> bool:
    """It gives None for a stranger, though its name does not say so, and the endpoint does not ask whether it did."""
    guard = dependency.target
    if not isinstance(guard, Function) or dependency.parameter is None or _OPTIONAL.search(guard.name):
        return False
    answers = guard.of(ast.Return)
    nobody = [node.lineno for node in answers if _is_none(node.value)]
    if not nobody or len(nobody) == len(answers) or any(isinstance(node, ast.Raise) for node in guard.nodes):
        return False
    if any(edge.site.node.lineno < min(nobody) and refuses(edge.target) for edge in service.graph.edges(guard)):
        return False
    if any(is_guard(inner) and not _is_lenient(inner) for inner in service.nested(dependency)):
        return False
    return not _asks_about(service, handler, dependency.parameter)


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _is_lenient(dependency: Dependency) -> bool:
    """`HTTPBearer(auto_error=False)`: it looks for a token, and goes on where there is none."""
    target = dependency.target
    if not isinstance(target, External) or target.call is None or not target.path.startswith(_SCHEMES):
        return False
    given = argument(target.call[0], "auto_error")
    return isinstance(given, ast.Constant) and given.value is False


def _asks_about(service: Service, function: Function, name: str, *, follow: bool = True) -> bool:
    """What it does depends on a parameter: it tests it, reads of it what None has not, or hands it to somebody who does."""
    for node in function.nodes:
        tested = node.test if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert) else node
        if tested is node and not isinstance(node, ast.BoolOp | ast.Compare | ast.UnaryOp | ast.Attribute | ast.Subscript):
            continue
        if mentions(tested, {name}):
            return True
    return follow and any(_hands_to_asker(service, site, name) for site in function.calls)


def _hands_to_asker(service: Service, site: CallSite, name: str) -> bool:
    """Who cannot be told may ask."""
    if not any(isinstance(given, ast.Name) and given.id == name for given in handed_on(site.node)):
        return False
    targets = service.resolver.targets(site)
    return not targets or any(
        _asks_about(service, value.definition, taken, follow=False)
        for value in targets
        if isinstance(value, FunctionValue)
        for taken in _takers(value.definition, site.node, name)
    )


def _takers(function: Function, call: ast.Call, name: str) -> Iterator[str]:
    """The parameters that a call gives this name."""
    for position, parameter in enumerate(function.filled):
        given = argument(call, parameter, position)
        if isinstance(given, ast.Name) and given.id == name:
            yield parameter


def is_guard(dependency: Dependency) -> bool:
    target = dependency.target
    if dependency.security:
        return True
    if isinstance(target, External):
        return target.path.startswith(_SCHEMES) or bool(_GUARD.search(target.path))
    name = target.name if isinstance(target, Function | Class) else ""
    if _GUARD.search(name) or _GUARD.search(ast.unparse(dependency.node)):
        return True
    return isinstance(target, Function) and refuses(target)  # whatever it is called: `Depends(Member("read"))`


def only_wants_header(service: Service, route: Route) -> bool:
    """`dependencies=[Depends(HTTPBearer())]` refuses who sends no token; whether it is one, nobody looks."""
    schemes = [
        dependency.parameter is None and isinstance(dependency.target, External) and dependency.target.path.startswith(_SCHEMES)
        for dependency in _guards(service, route)
    ]
    return bool(schemes) and all(schemes) and not _guarded_inside(route.handler)


def lacks(service: Service, route: Route) -> str:
    """What an operation does in place of asking who is calling."""
    strangers = unheard(service, route)
    if strangers:
        return f"goes on when {getattr(strangers[0].target, 'name', '')} finds nobody"
    return "looks at no token, only for one" if only_wants_header(service, route) else "asks for no credentials"


def _is_booted_guard(dependency: BootedDependency) -> bool:
    name = dependency.callee.name if dependency.callee is not None else ""
    return dependency.scheme or bool(dependency.scopes) or bool(_GUARD.search(name.rpartition(".")[2]))


def _guarded_inside(handler: Function) -> bool:
    """A decorator guards, or the body's calls do: `Authorize.jwt_required()`."""
    if any(_GUARD.search(ast.unparse(decorator).partition("(")[0].rpartition(".")[2]) for decorator in handler.decorators):
        return True
    if any(_takes_credential(parameter, default) for parameter, default in handler.parameters):
        return True
    return any(_ASKS.search(site.name) for site in handler.calls) or refuses(handler)


def refuses(function: Function) -> bool:
    """The function raises what becomes a 401 or 403."""
    raised = (node.exc for node in function.of(ast.Raise) if node.exc is not None)
    return any(_REFUSES.search(ast.unparse(error)) for error in raised)


def tells_strangers_apart(handler: Function) -> bool:
    """Starlette has told who is calling, and the endpoint asks: `request.user.is_authenticated`."""
    return any(isinstance(node, ast.Attribute) and node.attr == "is_authenticated" for node in handler.nodes)


def _takes_credential(parameter: ast.arg, default: ast.expr | None) -> bool:
    """`x_api_key: str | None = Header(None)`: it looks at who is calling itself, and answers strangers what they may see."""
    declared = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
    comes_along = last_name(default) in {"Header", "Cookie"} if isinstance(default, ast.Call) else "Header(" in declared
    return comes_along and bool(_CREDENTIAL.search(parameter.arg))


def stand_in_front(service: Service, served: Served | None) -> bool:
    """A middleware asks who is calling, whatever is called."""
    if any(names_guard(service, middleware.cls) for middleware in service.middleware if middleware.cls is not None):
        return True
    booted = served.app.apps if served is not None else ()
    return any(is_guard_name(entry.name.rpartition(".")[2]) for app in booted for entry in app.middleware)


def in_front(service: Service) -> Iterator[Router | None]:
    """The apps of which a middleware function turns strangers away, itself or by what it calls; None: not told which."""
    for middleware in service.middleware:
        if middleware.function is not None and any(map(_turns_away, reach.near(service, middleware.function))):
            yield middleware.app


def _turns_away(function: Function) -> bool:
    """It looks for a credential and answers 401 without one, not only below a path: `if path.startswith("/admin"): ...`."""
    refusals = [node for node in function.of(ast.Return, ast.Raise, ast.Assign) if _UNKNOWN.search(ast.unparse(node))]
    if not refusals or not _SENT.search(ast.unparse(function.node)):
        return False
    partly = (node for node in function.of(ast.If) if _PARTLY.match(ast.unparse(node.test)))
    some = {id(inner) for outer in partly for statement in outer.body for inner in walk(statement)}
    return any(id(node) not in some for node in refusals)


_UNKNOWN = re.compile(r"\b401\b|UNAUTHORIZED|Unauthori[sz]ed|NotAuthenticated")
_SENT = re.compile(
    r"authorization\b|\bx-api-key|access_token|bearer|(?:cookies|headers)\W+(?:get\()?['\"](?:session|token|jwt)", re.IGNORECASE
)
_PARTLY = re.compile(r"(?!not )[^(]*\.startswith\(")


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
