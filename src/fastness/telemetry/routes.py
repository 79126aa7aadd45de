"""Which route served a request, as the full path template: a label with as many values as the app has routes.

It reads what FastAPI and Starlette leave in the scope; it neither routes nor measures. Templates come from the public
`fastapi.routing.iter_route_contexts`, because `scope["route"].path` lacks the prefixes of routers and mounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fastapi.routing import iter_route_contexts
from starlette.convertors import CONVERTOR_TYPES
from starlette.routing import BaseRoute, Host, Mount

from fastness._asgi import Scope, path_below_root

UNMATCHED = "unmatched"
"""The label of every request that no route matched."""

_PARAMETER = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?}")
# Bounds: on what is remembered, on how deep apps are mounted in apps, and on looking for routes that are not to be found.
_MAX_REMEMBERED = 4096
_MAX_DEPTH = 16
_MAX_FRUITLESS = 100


class _Place(NamedTuple):
    """One place of a route in the app. `target` is held so that no other object can get its id."""

    target: object
    template: str
    pattern: re.Pattern[str]


class Routes:
    """Labels requests of one app with the template of their route, without the app's own root path.

    Args:
        app: a FastAPI or Starlette app, or a router.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._places: dict[int, list[_Place]] = {}
        self._mounts: list[_Place] = []
        self._remembered: dict[tuple[int, int], tuple[str, object, object]] = {}
        self._fruitless = 0

    def label(self, scope: Scope) -> str:
        """The template of the route that handled `scope`, or `UNMATCHED`."""
        route = scope.get("route")
        fastapi = scope.get("fastapi")
        # A router that is included twice serves both places with one route object; this tells them apart. It only keys
        # the memory: a FastAPI that stops providing it costs a search per request, not a wrong label.
        inclusion = fastapi.get("effective_route_context") if type(fastapi) is dict else None
        # Below a mount the same route may serve several prefixes, and so may an endpoint that Starlette's plain routes name.
        if "app_root_path" in scope or (route is None and inclusion is None):
            target = scope.get("endpoint") if route is None else route
            if target is not None:
                return self._find(target, scope)
            return _frontend(fastapi, scope) if fastapi else UNMATCHED
        target = scope.get("endpoint") if route is None else route
        remembered = self._remembered.get((id(target), id(inclusion)))
        if remembered is not None:
            return remembered[0]
        label = self._find(target, scope)
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[id(target), id(inclusion)] = (label, target, inclusion)
        return label

    def _find(self, target: object, scope: Scope) -> str:
        path = path_below_root(scope)
        found = _first(self._places.get(id(target), ()), path)
        if found is None and self._fruitless < _MAX_FRUITLESS:
            # The first request, or a route that was added since.
            self._read()
            found = _first(self._places.get(id(target), ()), path)
            self._fruitless += found is None
        if found is not None:
            return found.template
        # The path was rewritten, or this middleware sits inside a mounted app: then its end is what the app knows.
        places = self._places.get(id(target), ())
        tail = next((place for place in places if place.pattern.search(path)), places[0] if places else None)
        # A mounted app that hides its routes is known by the mount.
        tail = tail or _first(self._mounts, path)
        return tail.template if tail is not None else UNMATCHED

    def _read(self) -> None:
        places: dict[int, list[_Place]] = {}
        mounts: list[_Place] = []
        for target, path, mounted in _walk(_routes_of(self._app)):
            place = _Place(target, _PARAMETER.sub(r"{\1}", path), _pattern(path))
            places.setdefault(id(target), []).append(place)
            if mounted:
                mounts.append(place)
        # The innermost mount says most.
        self._places, self._mounts = places, sorted(mounts, key=lambda mount: -mount.template.count("/"))


def _walk(routes: Sequence[BaseRoute], prefix: str = "", depth: int = 0) -> Iterator[tuple[object, str, bool]]:
    """Every route and endpoint below `routes`, its full path, and whether it is a mount."""
    if depth > _MAX_DEPTH:
        return
    for context in iter_route_contexts(routes):
        route = context.original_route
        # FastAPI 0.142 keeps what an inclusion makes of a plain Starlette route one step further away.
        effective: Any = getattr(context, "starlette_route", None) or context
        if isinstance(route, Host):
            yield from _walk(_routes_of(effective.app), prefix, depth + 1)
        elif isinstance(route, Mount):
            path = prefix + effective.path
            yield from _walk(_routes_of(route.app), path, depth + 1)
            yield route.app, path + "/{path:path}", True
        elif effective.path is not None:
            yield route, prefix + effective.path, False
            yield effective.endpoint, prefix + effective.path, False


def _routes_of(app: Any) -> Sequence[BaseRoute]:
    """The routes of an app, also through the middleware that wraps it; none where it hides them."""
    for _ in range(_MAX_DEPTH):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list | tuple):
            return routes
        app = getattr(app, "app", None)
    return ()


def _pattern(path: str) -> re.Pattern[str]:
    """What `path` matches, at the end of a text. Parameters have no names: mounts may repeat one."""
    expression, end = "", 0
    for parameter in _PARAMETER.finditer(path):
        convertor = CONVERTOR_TYPES.get(parameter[2] or "str")
        expression += re.escape(path[end : parameter.start()]) + (f"(?:{convertor.regex})" if convertor else ".+")
        end = parameter.end()
    return re.compile(expression + re.escape(path[end:]) + r"\Z")


def _first(places: Iterable[_Place], path: str) -> _Place | None:
    # In the order of declaration, as the router tries them.
    return next((place for place in places if place.pattern.match(path)), None)


def _frontend(fastapi: Any, scope: Scope) -> str:
    """Static frontends (`app.frontend`) are routes of another kind: they leave the path below their own."""
    below = fastapi.get("frontend_path") if type(fastapi) is dict else None
    if below is None or "app_root_path" in scope:
        return UNMATCHED
    return path_below_root(scope).removesuffix(below).rstrip("/") + "/{path}"
