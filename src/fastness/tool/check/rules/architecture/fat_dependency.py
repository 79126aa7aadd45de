"""A dependency holds business logic.

A dependency runs before the endpoint, for every route that names it, and what it does is not seen where it is used. Once it
decides more than who is calling and what is asked for, a change for one route is a change for all of them, and it can be tested
only with a request.

Let dependencies be small and compose: one gets the session, one the caller; what the service decides is the service's.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.size import size
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function

_MOST_STATEMENTS = 30
_MOST_DECISIONS = 8


@rule(
    severity=Severity.INFO,
    practice="2.4",
    help="move the logic to a service, and split the rest into dependencies that compose",
)
def check(service: Service) -> Iterator[Found]:
    used: dict[Function, int] = {}
    for route in service.routes:
        for dependency in service.tree(route):
            target = dependency.target
            if isinstance(target, Function) and target.module.is_service:
                used[target] = used.get(target, 0) + 1
    for function, routes in used.items():
        one = size(function)
        if one.statements > _MOST_STATEMENTS and one.decisions > _MOST_DECISIONS:
            message = f"the dependency {function.qualified} has {one}, for {routes} path operations"
            yield found(function, function.node, message, count=routes)


def _example(lines: int, *, used: bool = True) -> str:
    one = "            if token.a{n}:\n                token.b{n} = 1\n            token.c{n} = 2"
    body = "\n".join(one.format(n=n) for n in range(lines))
    return f"""
        from fastapi import Depends, FastAPI

        app = FastAPI()

        def plan(token=None):{{found}}
{body}
            return token

        @app.get("/a")
        def a(plan=Depends({"plan" if used else "dict"})): ...
    """


EXAMPLES = [
    Bad(_example(12).format(found="  # found")),
    Good(_example(4).format(found=""), "it fits on a screen"),
    Good(_example(12, used=False).format(found=""), "a function that is no dependency is where logic belongs"),
    Good(
        _example(0).format(found="").replace("return token", "\n".join(["token.x = 1", *["            token.x = 1"] * 40])),
        "forty statements that decide nothing only prepare",
    ),
]
