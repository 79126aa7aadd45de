"""Which classes of the project have only objects that outlive a request, made by a module, a cache or the start of the app."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import imports, reach
from fastness.tool.check.knowledge.lifetimes import startup
from fastness.tool.check.knowledge.running import loop
from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.hierarchy import FORMS
from fastness.tool.project.names.values import ClassValue, Instance
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, Scope, last_name
from fastness.tool.project.source.walk import walk

_PLAIN = FORMS | {"pydantic_settings.BaseSettings", "starlette.middleware.base.BaseHTTPMiddleware"}
_MODELS = frozenset({"pydantic.BaseModel"})
_CACHES = ("lru_cache", "cache", "singleton")
_KINDS = {"isinstance", "issubclass", "cast", "TypeVar", "add_middleware", "Middleware"}


def made(service: Service, defined: Class) -> CallSite | None:
    """A call that makes an object of the class, when all of them last longer than a request; None when that is not known."""
    known = _known(service)
    if defined not in known:
        known[defined] = None  # for one that makes others of its own class
        known[defined] = _made(service, defined)
    return known[defined]


def is_made(service: Service, node: ast.expr, scope: Scope) -> bool:
    """The expression stands for objects that all requests share."""
    held = service.resolver.infer(node, scope)
    return bool(held) and all(isinstance(one, Instance) and made(service, one.definition) is not None for one in held)


def is_plain(service: Service, defined: Class) -> bool:
    """Nothing but its own code makes its objects and attributes what they are."""
    return all(isinstance(base, Class) or base.path in _PLAIN for base in service.resolver.mro(defined))


@known_once
def _known(_: Service) -> dict[Class, CallSite | None]:
    """What was found out of the classes that somebody has asked about."""
    return {}


def _made(service: Service, defined: Class) -> CallSite | None:
    outside = {base.path for base in service.resolver.mro(defined) if not isinstance(base, Class)} - _PLAIN
    if not outside <= _MODELS or defined in _provided(service):
        return None
    if any(service.resolver.subclasses(defined)) or service.resolver.method(defined, "__setattr__") is not None:
        return None
    sites = [site for site in _sites(service, defined) if not _is_apart(site)]
    alone = _is_singleton(defined)
    if not all(alone or _lasts(service, defined, site) for site in sites) or any(
        _makes_more(service, method) for method in defined.methods
    ):
        return None
    if outside and not all(isinstance(site.scope, Function) and site.scope.decorated(*_CACHES) for site in sites):
        return None  # FastAPI makes models of bodies
    by_app = [one.site for one in service.middleware if one.cls is defined and one.site is not None]
    lasting = [*sites, *by_app]
    return lasting[0] if lasting and not _is_handed_on(service, defined) else None


def _is_apart(site: CallSite) -> bool:
    """Made in a test or a script, which the service does not run."""
    scope = site.scope
    return not (scope if isinstance(scope, Module) else scope.module).is_service


@known_once
def _provided(service: Service) -> set[object]:
    """The classes that FastAPI makes an object of for each request."""
    return {dependency.target for route in service.routes for dependency in service.tree(route)}


def _sites(service: Service, defined: Class) -> Iterator[CallSite]:
    """The calls that make an object of the class."""
    for module in service.project.service:
        for site in module.calls_by_name.get(defined.name, ()):
            if any(isinstance(value, ClassValue) and value.definition is defined for value in service.resolver.targets(site)):
                yield site


def _lasts(service: Service, defined: Class, site: CallSite) -> bool:
    """The object is made once: by a module, a cache or the start of the app, or as a part of what is."""
    scope = site.scope
    if not isinstance(scope, Function):
        return not site.deferred
    if scope.decorated(*_CACHES):
        return next(scope.parameters, None) is None
    if loop.is_first(service, site):
        return True
    if scope.name == "__init__" and scope.owner is not None and scope.owner is not defined:
        return made(service, scope.owner) is not None
    return scope in _starting(service) and scope not in reach.from_requests(service)


@known_once
def _starting(service: Service) -> set[Function]:
    """The functions that start-up runs itself, and those that importing the app does."""
    makers = {app.scope for app in service.apps if isinstance(app.scope, Function)}
    called = {target for made in imports.made_by_importing(service) for target in made.targets}
    return {*startup.starts(service), *(one.target for one in startup.begun(service)), *makers, *called}


def _is_singleton(defined: Class) -> bool:
    """`__new__` gives the one object that there is."""
    making = defined.method("__new__")
    return making is not None and any(isinstance(node, ast.If) and any(loop.missing(node.test)) for node in making.nodes)


def _makes_more(service: Service, method: Function) -> bool:
    """It makes further objects of its own class: `cls(...)`, `type(self)(...)`."""
    if method.name == "__new__":
        return False
    for site in method.calls:
        called = site.node.func
        again = isinstance(called, ast.Call) and last_name(called) == "type"
        if (again or last_name(called) in {"cls", "__class__"}) and not loop.is_first(service, site):
            return True
    return False


def _is_handed_on(service: Service, defined: Class) -> bool:
    """The class itself is given to somebody, who may make objects of it: `provide(Reports)`, `{"reports": Reports}`."""
    for module in service.project.service:
        if not module.mentions(defined.name):
            continue
        named = {id(node) for node in ast.walk(module.tree) if _names(node, defined.name)}
        if named and not named <= {id(node) for node in _harmless(module)}:
            return True
    return False


def _names(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and last_name(node) == name and isinstance(node.ctx, ast.Load)


def _harmless(module: Module) -> Iterator[ast.AST]:
    """Where a class is called, asked for one of its names, inherited from, or says of what kind something is."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call():
                yield node.func
                if last_name(node.func) in _KINDS:
                    for argument in node.args:
                        yield from walk(argument)
            case ast.Attribute():
                yield node.value
            case ast.ClassDef():
                yield from node.bases
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                yield from walk(annotation)
            case ast.FunctionDef(returns=ast.expr() as annotation) | ast.AsyncFunctionDef(returns=ast.expr() as annotation):
                yield from walk(annotation)
            case ast.ExceptHandler(type=ast.expr() as caught):
                yield from walk(caught)
