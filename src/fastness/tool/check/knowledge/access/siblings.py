"""Operations that ought to ask alike who is calling: those of one file, and those below one router."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastness.tool.check.knowledge.access import guards, public
from fastness.tool.check.knowledge.answering.responses import returned
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.knowledge.inputs.bodies import bodies, fields
from fastness.tool.project import Service
from fastness.tool.project.routes import Route, Router
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, last_name

_MOST = 0.8
_SHARE = 0.5  # of the siblings that are guarded
_FEWEST = 2
_FILES = 3
_ADMIN = re.compile(r"(?:^|/)admin(?:/|$)")
_CHANGES = frozenset({"PUT", "PATCH", "DELETE"})
_ASKS_ITSELF = re.compile(r"user|admin|session|login|auth")
_OF_SOMEBODY = re.compile(
    r"^(?:user|member|customer|patient|employee|owner|tenant|order|invoice|payment|booking)_?id$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Open:
    """An operation that asks nobody.

    Attributes:
        like: the operations that are compared with it, itself included.
        guarded: those of them that ask.
        others: of a file in which nothing asks, what else there should.
        where: what they have in common, when it is not the file.
    """

    route: Route
    like: list[Route]
    guarded: list[Route]
    others: tuple[Route, ...] = ()
    where: str = "writes in the files beside this one"

    @property
    def compared(self) -> str:
        """How many of what it is compared with ask."""
        if len(self.like) == 2:
            return f"{self.guarded[0].handler.qualified} does"
        if self.guarded[0].handler.module is self.route.handler.module:
            return f"{len(self.guarded)} of its {len(self.like) - 1} siblings do"
        return f"{len(self.guarded)} of {len(self.like) - 1} {self.where} do"


def open_ones(service: Service, served: Served | None) -> Iterator[Open]:
    """Operations that ask nobody where most of their siblings do, and that are not there for all."""
    files: dict[Module, list[Route]] = defaultdict(list)
    for route in service.routes:
        if not route.handler.module.is_test and not route.is_websocket:
            files[route.handler.module].append(route)
    says_who = any(guards.is_starlettes(service, m.cls) for m in service.middleware if m.cls is not None)
    protected: dict[Module, set[Route]] = {}
    for module, routes in files.items():
        asking = {route for route in routes if guards.guards(service, route, served)}
        if served is None and not says_who:
            verified = {route for route in asking if not guards.only_wants_header(service, route)}
            asking = verified if len(verified) / len(routes) >= _MOST else asking
        protected[module] = asking
        yield from _in_one_file(routes, asking)
    yield from _in_one_service(service, files, protected)
    yield from _of_administrators(service, files, protected)


def _in_one_file(routes: list[Route], protected: set[Route]) -> Iterator[Open]:
    told: set[Route] = set()
    for route in routes if len(protected) >= _FEWEST else ():
        like = routes if len(protected) / len(routes) >= _SHARE else [one for one in routes if one.writes]
        guarded = [one for one in like if one in protected]
        if route in protected or route not in like or len(guarded) < _FEWEST or len(guarded) / len(like) < _SHARE:
            continue
        if not _is_for_all(route) and not public.is_content(route, routes, guarded):
            told.add(route)
            yield Open(route, like, guarded)
    yield from (one for one in _changes_what_only_some_make(routes, protected) if one.route not in told)


def _changes_what_only_some_make(routes: list[Route], protected: set[Route]) -> Iterator[Open]:
    """`DELETE /items/{id}` asks nobody where `POST /items`, or `POST /items/create`, asks, whatever else there is."""
    for route in routes:
        collection = public.collection(route)
        if route in protected or collection is None or not route.methods <= _CHANGES or _is_for_all(route):
            continue
        makes = [one for one in routes if one.router is route.router and public.makes(one, collection)]
        if makes and protected.issuperset(makes):
            yield Open(route, [route, *makes], makes)


def _in_one_service(
    service: Service, files: Mapping[Module, list[Route]], protected: Mapping[Module, set[Route]]
) -> Iterator[Open]:
    """Of a file in which hardly anything asks, where what is included beside it does."""
    writes: dict[int, list[Route]] = {}
    for module, routes in files.items():
        asking = protected[module]
        if len(asking) >= _FEWEST and len(asking) / len(routes) >= _SHARE:
            continue
        private = [one for one in routes if one not in asking and _is_surely_private(service, one, sends=bool(asking))]
        parents = {id(router): router for one in private if one.router for router in _around(one.router)}
        for parent in parents.values():
            if id(parent) not in writes:
                writes[id(parent)] = [one for one in below(parent) if one.writes and not public.says_so(one)]
            beside = [one for one in writes[id(parent)] if one.handler.module is not module and one.handler.module in files]
            guarded = [one for one in beside if one in protected[one.handler.module]]
            if len({one.handler.module for one in guarded}) >= _FILES and len(guarded) / len(beside) >= _MOST:
                yield Open(private[0], [private[0], *beside], guarded, tuple(private[1:]))
                break


def _of_administrators(
    service: Service, files: Mapping[Module, list[Route]], protected: Mapping[Module, set[Route]]
) -> Iterator[Open]:
    """Of a file in which hardly anything asks, what stands below `/admin`, where most that stands there asks."""
    private = {
        module: [one for one in routes if any(map(_ADMIN.search, service.prefixes(one))) and not _sends_elsewhere(one)]
        for module, routes in files.items()
    }
    guarded = [one for module, routes in private.items() for one in routes if one in protected[module]]
    every = sum(map(len, private.values()))
    if len({one.handler.module for one in guarded}) < _FEWEST or len(guarded) / every < _SHARE:
        return
    for module, routes in private.items():
        asking = protected[module]
        unasked = [one for one in routes if one not in asking]
        if unasked and not (len(asking) >= _FEWEST and len(asking) / len(files[module]) >= _SHARE):
            first, *others = unasked
            like = [one for there in private.values() for one in there]
            yield Open(first, like, guarded, tuple(others), "operations below /admin")


def _sends_elsewhere(route: Route) -> bool:
    """It is there for all; it only redirects; or it asks who is calling itself, and redirects strangers."""
    handler = route.handler
    given = returned(handler)
    asks = any(_ASKS_ITSELF.search(site.name) for site in handler.calls)
    redirects = [isinstance(value, ast.Call) and last_name(value) == "RedirectResponse" for value in given]
    return public.says_so(route) or (bool(redirects) and (all(redirects) or (asks and any(redirects))))


def _around(router: Router) -> Iterator[Router]:
    """What it is included in; or itself, of operations that stand beside the routers it includes."""
    if router.includes:
        yield router
    yield from (include.parent for include in router.included_in if include.parent is not None)


def _is_for_all(route: Route) -> bool:
    return public.says_so(route) or public.gives_nothing(route.handler) or guards.tells_strangers_apart(route.handler)


def _is_surely_private(service: Service, route: Route, *, sends: bool) -> bool:
    """It changes one of many things, or is about somebody's, and everything that it depends on is known.

    A client that creates says himself whose it is, `order_id`, `user_id`: that is no registration and no contact form.
    `sends`: or it sends what a client wants to whom he wants.
    """
    if _is_for_all(route) or not all(isinstance(one.target, Function | Class) for one in service.tree(route)):
        return False
    if sends and route.writes and route.handler.name.startswith("send_"):
        return True
    path = f"{(route.router.prefix if route.router is not None else None) or ''}{route.path}"
    if route.methods == {"POST"} and any(map(_OF_SOMEBODY.search, _taken(service, route))):
        return True
    return "{" in path and (bool(route.methods & _CHANGES) or public.is_personal(path))


def _taken(service: Service, route: Route) -> Iterator[str]:
    """The names of what a client sends: parameters, and fields of the body."""
    injected = {dependency.parameter for dependency in service.parameters(route.handler)}
    yield from (parameter.arg for parameter, _ in route.handler.parameters if parameter.arg not in injected)
    for *_, model in bodies(service, route):
        yield from fields(service, model)


def below(router: Router) -> Iterator[Route]:
    """The operations of a router, and of all that it includes."""
    pending, seen = [router], set[int]()
    while pending:
        one = pending.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield from one.routes
            pending += (include.child for include in reversed(one.includes))
