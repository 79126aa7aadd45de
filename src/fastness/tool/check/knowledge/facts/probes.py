"""Health endpoints: which routes are some, what they find out before they answer, and who gets the answer."""

from __future__ import annotations

import ast
import re
from typing import TypeVar

from fastness.tool.check.knowledge.access.guards import is_guard, refuses
from fastness.tool.project import Service
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance
from fastness.tool.project.routes import Dependency, Route, Router
from fastness.tool.project.source.symbols import CallSite, Class, Function, argument, constant

_END = r"[-_]*(?:check\w*|probe|status)?_*(?:\.\w+)?"
_PROBE = re.compile(
    rf"(?:_*(?:livez?|up)|(?:.*[-_]|is)?(?:health[yz]?|readyz?|readiness|heartbeat|liveness|alive|startupz)){_END}",
    re.IGNORECASE,
)
_READY = re.compile(rf"_*(?:is[-_]?)?(?:readyz?|readiness){_END}", re.IGNORECASE)
_PERHAPS = re.compile(r"status|ping", re.IGNORECASE)  # of the service, or of something that it is about
_NEUTRAL = re.compile(
    r"api|v\d\w*|public|private|internal|utils?|system|monitor(?:ing)?|ops|common|base|_\w+|\{\?\}", re.IGNORECASE
)
READS = frozenset({"GET", "HEAD"})
_R = TypeVar("_R")
_MOST = 100  # functions that a probe may run until it counts as one that asks something
# Calls that only make the answer: what they are told is all that they know.
_MAKES = re.compile(
    r"(?:json|orjson|ujson|datetime|time|platform|uuid|logging|structlog|loguru|pydantic|pydantic_settings|importlib|sys|math|re"
    r"|typing|enum|dataclasses|functools|zoneinfo|pytz|arrow|pendulum|tomllib|toml|pkg_resources)(?:\.[\w.()\[\]]+)?"
    r"|os\.(?:getenv|getpid|uname|cpu_count|environ[\w.()]*|path\.(?:join|dirname|basename|abspath))|socket\.gethostname"
    r"|fastapi\.(?:responses|encoders|Request|Response|status)\b.*|starlette\.(?:responses|status)\b.*"
    r"|(?:str|int|float|bool|dict|list|set|tuple|len|round|print|sorted|isinstance|repr|format|type|vars|max|min|sum|zip|range)"
    r"(?:\(\)\.\w+)?"
)
_NAMED = frozenset({
    "dict", "str", "now", "utcnow", "time", "isoformat", "round", "JSONResponse", "Response", "PlainTextResponse", "info",
    "debug", "warning", "getenv", "get", "get_settings", "Health", "HealthResponse", "strftime", "total_seconds", "model_dump",
    "format", "append", "join", "lower", "upper", "items", "",
})  # fmt: skip


def full_path(service: Service, route: Route) -> str:
    """The path with its prefixes, as far as they are known."""
    return next(iter(service.prefixes(route)), route.path or "")


def declared(service: Service, routes: set[Route]) -> list[Route]:
    """The probes among routes of the sources."""
    read = [route for route in service.routes if route in routes and route.path is not None and READS & route.methods]
    return named([(full_path(service, route), _takes_input(service, route), route) for route in read])


def _takes_input(service: Service, route: Route) -> bool:
    injected = {dependency.parameter for dependency in service.parameters(route.handler)}
    return any(p.arg not in injected | {"self", "request", "req", "response"} for p, _ in route.handler.parameters)


def named(routes: list[tuple[str, bool, _R]]) -> list[_R]:
    """Those that speak of the whole service: with nothing before the probe's name in the path but `api`, a version and such.

    Args:
        routes: with their full paths, and whether they take something from the client.
    """
    found: dict[bool, list[tuple[int, str, _R]]] = {True: [], False: []}
    for path, takes, route in routes:
        parts = [part for part in path.split("/") if part]
        place = next((number for number, part in enumerate(parts) if _PROBE.fullmatch(part)), None)
        certain = place is not None
        if place is None and not takes and parts and _PERHAPS.fullmatch(parts[-1]):
            place = len(parts) - 1
        if place is not None and "{" not in path.replace("{?}", ""):
            before = sum(not _NEUTRAL.fullmatch(part) for part in parts[:place])
            found[certain].append((before, parts[place], route))
    kept = found[True] or [one for one in found[False] if one[0] == 0]
    least = min((before for before, _, _ in kept), default=0)
    return [route for before, name, route in kept if before == least or _READY.fullmatch(name)]


def asks(service: Service, route: Route) -> bool:
    """The endpoint finds something out: it reaches a library, a call of which nobody knows what it does, or depends on such."""
    given = [*service.parameters(route.handler), *service.declared(route.option("dependencies"), route.scope)]
    pending: list[Function] = [route.handler]
    for dependency in given:
        if isinstance(dependency.target, Function):
            pending.append(dependency.target)
        elif isinstance(dependency.target, Class):
            made = service.resolver.method(dependency.target, "__init__")
            pending += [made] if made is not None else []
        elif not is_guard(dependency):
            return True
    seen = set(pending)
    while pending and len(seen) < _MOST:
        function = pending.pop()
        unknown = function.is_empty and function is not route.handler
        if unknown or _waits(function) or any(_is_question(service, site, function) for site in function.calls):
            return True
        for edge in service.graph.edges(function):
            if edge.target not in seen:
                seen.add(edge.target)
                pending.append(edge.target)
    return bool(pending)


def _waits(function: Function) -> bool:
    """It awaits what is no call: a task or future that something else finishes."""
    return any(isinstance(node, ast.Await) and not isinstance(node.value, ast.Call) for node in function.nodes)


def _is_question(service: Service, site: CallSite, function: Function) -> bool:
    targets = service.resolver.targets(site)
    if not targets:
        return site.name not in _NAMED and site.name != function.name
    followed = (FunctionValue, ClassValue, Instance)
    return any(not (_MAKES.fullmatch(v.path) if isinstance(v, External) else isinstance(v, followed)) for v in targets)


def wants_login(service: Service, route: Route) -> bool:
    """Who is not logged in is refused, and a platform is not."""
    if any(_is_login(service, decorator, route) for decorator in route.handler.decorators):
        return True
    return _is_once(route.router) and any(_refuses(dependency) for dependency in service.tree(route))


def _is_once(router: Router | None) -> bool:
    """It is included in one place, and so is what includes it: a second place may let everybody in."""
    seen: set[int] = set()
    while router is not None and router.included_in and id(router) not in seen:
        if len(router.included_in) > 1:
            return False
        seen.add(id(router))
        router = router.included_in[0].parent
    return True


def _is_login(service: Service, decorator: ast.expr, route: Route) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return "starlette.authentication.requires" in service.resolver.paths(called, route.handler.parent)


def _refuses(dependency: Dependency) -> bool:
    if not is_guard(dependency):
        return False
    if isinstance(dependency.target, External):
        made = dependency.target.call
        return made is None or constant(argument(made[0], "auto_error")) is not False
    return isinstance(dependency.target, Function) and refuses(dependency.target)
