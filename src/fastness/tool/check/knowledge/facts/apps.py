"""Which of a project's apps is the service, and what an app serves."""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.routes import Route, Router
from fastness.tool.project.source.module import Module


def main(service: Service) -> Router | None:
    """The app that serves most routes, None when the project makes none."""
    candidates = [app for app in service.apps if not app.included_in]
    return max(candidates, key=lambda app: len(app.includes) + len(app.routes), default=None)


def alone(service: Service, fewest: int) -> dict[str, Router]:
    """The apps of a repository of several services, by directory: those that serve some routes, none in or above another's."""
    found: dict[str, Router] = {}
    for app in service.apps:
        module = app.scope if isinstance(app.scope, Module) else app.scope.module
        if not app.included_in and module.is_service and len(set(served(app))) >= fewest:
            here = f"{module.path.rpartition('/')[0]}/"
            if any(here != other and (here.startswith(other) or other.startswith(here)) for other in found):
                return {}
            found.setdefault(here, app)
    return found if len(found) > 1 else {}


def served(router: Router, _seen: set[int] | None = None) -> Iterator[Route]:
    """The routes of an app or router, those of what it includes too."""
    seen = _seen if _seen is not None else set()
    if id(router) not in seen:
        seen.add(id(router))
        yield from router.routes
        for include in router.includes:
            yield from served(include.child, seen)
