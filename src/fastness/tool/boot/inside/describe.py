"""A FastAPI app as JSON: routes as they are served, what they depend on, middleware, handlers, lifespan, OpenAPI."""

from __future__ import annotations

import inspect
import sys
from functools import partial
from importlib import metadata
from typing import Any

from . import reach
from .load import Loaded

_TELLING = ("allow_origins", "allow_origin_regex", "allow_methods", "allow_headers", "expose_headers", "allowed_hosts")
_DEEPEST = 12
_KINDS = ("path", "query", "header", "cookie", "body")


def describe(loaded: Loaded) -> dict[str, Any]:
    """Everything that rules ask for. Secrets stay out: of options, only numbers and those of `_TELLING` are given."""
    found = _Found(loaded)
    found.add(loaded.app, "", ())
    document: dict[str, Any] = {
        "python": "%d.%d.%d" % sys.version_info[:3],
        "versions": {name: _version(name) for name in ("fastapi", "starlette", "pydantic", "fastness")},
        "apps": found.apps,
        "main": found.main(),
        "routes": found.routes,
        "openapi": None,
        "openapi_error": None,
    }
    try:
        document["openapi"] = loaded.app.openapi()
    except Exception as error:
        document["openapi_error"] = "%s: %s" % (type(error).__name__, str(error)[:300])
    return document


def contexts(app: Any) -> list[Any]:
    """The routes of an app in the order in which they are tried, included routers unfolded.

    Since FastAPI 0.137 routers stay a tree, whose leaves are seen as contexts; before, including a router copied its routes.
    """
    from fastapi import routing

    public = getattr(routing, "iter_route_contexts", None)
    if public is not None:
        return list(public(app.routes))
    tree = getattr(routing, "_iter_routes_with_context", None)  # 0.137, before there was a public way
    if tree is not None:
        return [route if context is None else _Leaf(context, route) for route, context in tree(app.routes)]
    return list(app.routes)


class _Leaf:
    """A route with what its including routers add to it."""

    def __init__(self, context: Any, route: Any) -> None:
        self._seen = getattr(context, "starlette_route", None) or context
        self.original_route = route

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)


class _Found:
    """Apps and routes, those of mounted apps after those of the app that they are mounted in."""

    def __init__(self, loaded: Loaded) -> None:
        self.apps: list[dict[str, Any]] = []
        self.routes: list[dict[str, Any]] = []
        self._loaded = loaded
        self._objects: list[Any] = []

    def add(self, app: Any, prefix: str, above: tuple[int, ...]) -> None:
        """Add an app, and everything that is mounted in it but not one of the apps above."""
        from fastapi import FastAPI

        is_fastapi = isinstance(app, FastAPI)
        number = len(self.apps) if is_fastapi else None
        if is_fastapi:
            self.apps.append(_facts(self._loaded, app, prefix))
            self._objects.append(app)
        served = contexts(app) if is_fastapi else list(getattr(app, "routes", None) or ())
        hidden = reach.hidden(served)
        first = len(self.routes)
        mounted = []
        for position, route in enumerate(served):
            described = _route(route, prefix, number)
            by = hidden.get(position)
            described["hidden_by"] = None if by is None else first + by
            self.routes.append(described)
            below = _mounted(route)
            if below is not None and id(below) not in above:
                mounted.append((below, described["path"]))
        for below, path in mounted:
            if len(above) < _DEEPEST:
                self.add(below, path, (*above, id(app)))

    def main(self) -> int:
        """The number of the app that serves most operations, noted for those who will ask it."""
        counts = [sum(r["app"] == number and r["kind"] == "api" for r in self.routes) for number in range(len(self.apps))]
        number = counts.index(max(counts))
        self._loaded.main = self._objects[number]
        return number


def _mounted(route: Any) -> Any:
    """The app below a `Mount` or `Host`, if it has routes to look at."""
    original = getattr(route, "original_route", route)
    if type(original).__name__ not in ("Mount", "Host"):
        return None
    app = getattr(original, "app", None)
    for _ in range(_DEEPEST):
        if app is None or getattr(app, "routes", None) is not None:
            return app
        app = getattr(app, "app", None)
    return None


# -- the app


def _facts(loaded: Loaded, app: Any, prefix: str) -> dict[str, Any]:
    file, line = loaded.made.get(id(app), ("", 0))
    router = app.router
    return {
        "title": str(app.title),
        "prefix": prefix,
        "file": file,
        "line": line,
        "debug": bool(app.debug),
        "openapi_url": app.openapi_url,
        "docs_url": app.docs_url,
        "redoc_url": app.redoc_url,
        "root_path": app.root_path,
        "max_body_size": getattr(app, "max_body_size", None),
        "lifespan": "lifespan" in loaded.options.get(id(app), ()),
        "on_startup": [_callable(handler) for handler in getattr(router, "on_startup", ())],
        "on_shutdown": [_callable(handler) for handler in getattr(router, "on_shutdown", ())],
        "middleware": [_middleware(loaded, entry) for entry in app.user_middleware],
        "exception_handlers": [
            {"for": key if isinstance(key, int) else _name(key), "handler": _callable(handler)}
            for key, handler in app.exception_handlers.items()
        ],
    }


def _middleware(loaded: Loaded, entry: Any) -> dict[str, Any]:
    options = getattr(entry, "kwargs", None) or getattr(entry, "options", None) or {}
    file, line = loaded.made.get(id(entry), ("", 0))
    dispatch = options.get("dispatch")
    return {
        "name": _name(entry.cls),
        "file": file,
        "line": line,
        "function": _callable(dispatch) if dispatch is not None else None,
        "options": {str(name): _option(str(name), value) for name, value in options.items()},
    }


def _option(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if name in _TELLING:
        if isinstance(value, str):
            return value
        if isinstance(value, (list, tuple, set, frozenset)):
            return [str(one) for one in value]
    return "<%s>" % type(value).__name__


# -- routes


def _route(route: Any, prefix: str, app: int | None) -> dict[str, Any]:
    original = getattr(route, "original_route", route)
    endpoint = getattr(route, "endpoint", None)
    dependant = getattr(route, "dependant", None)
    response_model = getattr(route, "response_model", None)
    response_class = getattr(route, "response_class", None)
    response_class = getattr(response_class, "value", response_class)  # FastAPI's DefaultPlaceholder
    return {
        "app": app,
        "kind": _kind(original),
        "path": prefix + (getattr(route, "path", None) or ""),
        "methods": sorted(getattr(route, "methods", None) or ()),
        "name": str(getattr(route, "name", "") or ""),
        "endpoint": _callable(endpoint) if endpoint is not None else None,
        "response_model": None if response_model is None else _type(response_model),
        "entities": sorted(_entities(response_model)),
        "response_class": _name(response_class) if response_class is not None else None,
        "media_type": getattr(response_class, "media_type", None),
        "streams": bool(getattr(route, "stream_item_type", None) or getattr(route, "is_sse_stream", False)),
        "status_code": getattr(route, "status_code", None),
        "include_in_schema": bool(getattr(route, "include_in_schema", False)),
        "deprecated": bool(getattr(route, "deprecated", False)),
        "max_body_size": getattr(route, "max_body_size", None),
        "parameters": _parameters(dependant),
        "dependencies": [_dependency(inner, 0) for inner in getattr(dependant, "dependencies", ())],
        "hidden_by": None,
    }


def _kind(route: Any) -> str:
    for cls in type(route).__mro__:
        kind = {
            "APIRoute": "api",
            "APIWebSocketRoute": "websocket",
            "WebSocketRoute": "websocket",
            "Route": "plain",
            "Mount": "mount",
            "Host": "host",
        }.get(cls.__name__)
        if kind is not None:
            return kind
    return type(route).__name__


def _dependency(dependant: Any, depth: int) -> dict[str, Any]:
    call = dependant.call
    nested = dependant.dependencies if depth < _DEEPEST else ()
    scopes = getattr(dependant, "own_oauth_scopes", None) or getattr(dependant, "security_scopes", None) or ()
    return {
        "call": _callable(call) if call is not None else None,
        "scheme": _is_scheme(call),
        "scopes": [str(scope) for scope in scopes],
        "generator": _generates(call),
        "deprecation": _deprecation(call),
        "dependencies": [_dependency(inner, depth + 1) for inner in nested],
    }


def _deprecation(call: Any) -> dict[str, Any] | None:
    """What `fastness.versioning.Deprecated` sends, as it documents itself; known by its name, as it may not be here."""
    if _name(type(call)) != "fastness.versioning.Deprecated":
        return None
    operation: dict[str, Any] = {"responses": {"200": {}}}
    call.document_operation(operation)
    headers = operation["responses"]["200"]["headers"]
    return {
        "sunset": operation.get("x-sunset"),
        "headers": {name: str(header["example"]) for name, header in headers.items()},
    }


def _is_scheme(call: Any) -> bool:
    from fastapi.security.base import SecurityBase

    return isinstance(call, SecurityBase)


def _generates(call: Any) -> bool:
    call = _plain(call)
    return inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)


def _parameters(dependant: Any) -> list[dict[str, Any]]:
    """The parameters of an endpoint and of everything that it depends on."""
    found: list[dict[str, Any]] = []
    pending = [dependant] if dependant is not None else []
    while pending:
        current = pending.pop(0)
        for kind in _KINDS:
            for field in getattr(current, kind + "_params", ()):
                annotation = _annotation(field)
                found.append(
                    {
                        "in": kind,
                        "name": str(getattr(field, "alias", None) or field.name),
                        "type": _type(annotation),
                        "required": _required(field),
                        "fields": sorted(_fields(annotation, 3)),
                    }
                )
        pending.extend(current.dependencies)
    return found


def _required(field: Any) -> bool:
    asked = getattr(field.field_info, "is_required", None)
    return bool(asked()) if callable(asked) else getattr(field, "required", False) is True


def _annotation(field: Any) -> Any:
    annotation = getattr(getattr(field, "field_info", None), "annotation", None)
    return annotation if annotation is not None else getattr(field, "outer_type_", None)


# -- values as text


def _callable(call: Any) -> dict[str, Any]:
    """What is called, and where it is defined: what decorators and `partial` wrap."""
    plain = _plain(call)
    target = plain if inspect.isroutine(plain) or inspect.isclass(plain) else type(plain)
    file, line = _place(target)
    asks = plain if target is plain else target.__call__
    return {
        "name": _name(target),
        "file": file,
        "line": line,
        "async": inspect.iscoroutinefunction(asks) or inspect.isasyncgenfunction(asks),
    }


def _plain(call: Any) -> Any:
    for _ in range(_DEEPEST):
        if isinstance(call, partial):
            call = call.func
        try:
            inner = inspect.unwrap(call)
        except ValueError:  # wrapped in itself
            return call
        inner = getattr(inner, "__func__", inner)
        if inner is call:
            return call
        call = inner
    return call


def _place(target: Any) -> tuple[str, int]:
    """File and first line, of a function with its decorators."""
    code = getattr(target, "__code__", None)
    if code is not None:
        return code.co_filename, code.co_firstlineno
    if not inspect.isclass(target):
        return "", 0
    try:
        return inspect.getsourcefile(target) or "", inspect.getsourcelines(target)[1]
    except (OSError, TypeError, IndexError, SyntaxError):
        return "", 0


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__name__
    return "%s.%s" % (module, name) if module else str(name)


def _type(annotation: Any) -> str:
    if annotation is None:
        return ""
    if inspect.isclass(annotation) and not getattr(annotation, "__args__", None):
        return annotation.__name__ if annotation.__module__ == "builtins" else _name(annotation)
    return str(annotation).replace("typing.", "")


def _inner(annotation: Any) -> list[Any]:
    found: list[Any] = []
    pending = [annotation]
    while pending and len(found) < 100:
        current = pending.pop()
        found.append(current)
        pending.extend(getattr(current, "__args__", None) or ())
    return found


def _fields(annotation: Any, depth: int) -> set[str]:
    """The names of the fields of every model in a type, those of nested models included."""
    found: set[str] = set()
    for cls in _inner(annotation):
        fields = getattr(cls, "model_fields", None) or getattr(cls, "__fields__", None) if inspect.isclass(cls) else None
        if isinstance(fields, dict):
            for name, field in fields.items():
                found.add(str(name))
                if depth:
                    found |= _fields(getattr(field, "annotation", None) or getattr(field, "outer_type_", None), depth - 1)
    return found


def _entities(annotation: Any) -> set[str]:
    """The classes in a type that are mapped to a table, by what SQLAlchemy gave them and never by their names."""
    return {_name(cls) for cls in _inner(annotation) if inspect.isclass(cls) and getattr(cls, "__mapper__", None) is not None}


def _version(name: str) -> str:
    """Of a package, empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
