"""Who stands before the endpoints: guards, those that they leave the token to, and who only seems to stand there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fastness.tool.project import Service
from fastness.tool.project.names.values import FunctionValue
from fastness.tool.project.routes import Dependency
from fastness.tool.project.source.symbols import Function

_GUARD = re.compile(
    r"auth|verify|require|check|current_(?:user|admin|principal|account)|validate_(?:token|key|signature)|guard|protect|permission",
    re.IGNORECASE,
)
VERIFIES = re.compile(
    r"verif|construct_event|compare_digest|(?:validate|check|valid)_\w*(?:signature|token|key|secret|hmac)", re.IGNORECASE
)


def guards(service: Service) -> dict[Function, None]:
    """The middleware, and the dependencies that guard by their names."""
    found: dict[Function, None] = {}
    for middleware in service.middleware:
        found.update(dict.fromkeys(service.run_by(middleware)))
    for route in service.routes:
        for dependency in service.tree(route):
            if isinstance(dependency.target, Function) and _GUARD.search(dependency.target.qualified):
                found[dependency.target] = None
    return found


def asked_by(those: Iterable[Function], service: Service) -> dict[Function, None]:
    """Those to whom guards leave what the client sent."""
    called = (edge.target for guard in those for edge in service.graph.edges(guard))
    return {target: None for target in called if VERIFIES.search(target.name) or "token" in target.name.lower()}


def never_run(service: Service) -> Iterator[tuple[Function, Function, list[Dependency]]]:
    """Guards that are makers of guards: `dependencies=[Depends(require_role)]` of a function that returns the check.

    Returns:
        each maker with what it makes, and where it was mistaken for that.
    """
    found: dict[Function, list[Dependency]] = {}
    for route in service.routes:
        for dependency in service.tree(route):
            maker = dependency.target
            if isinstance(maker, Function) and dependency.parameter is None and _GUARD.search(maker.qualified):
                uses = found.setdefault(maker, [])
                if all(use.node is not dependency.node for use in uses):
                    uses.append(dependency)
    for maker, uses in found.items():
        made = service.resolver.returns(maker) if not maker.is_async else ()
        inner = [value.definition for value in made if isinstance(value, FunctionValue)]
        if inner and len(inner) == len(made) and all(isinstance(one.parent, Function) for one in inner):
            yield maker, inner[0], uses
