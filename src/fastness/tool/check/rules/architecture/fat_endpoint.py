"""An endpoint holds the business logic.

Dozens of statements and decisions behind one HTTP operation can only be tested through HTTP, and no job, second version or
command can reuse them. Such functions grow, because everything that is needed is at hand there.

Translate in the endpoint: validated input to a call of a service, its result or error to a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.size import Size, size
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function

_MOST_STATEMENTS = 40
_MOST_DECISIONS = 8
_EXEMPT = re.compile(r"health|ready|readiness|livez|metrics", re.IGNORECASE)


@rule(severity=Severity.WARNING, practice="1.1", help="move the logic to a service, and let the endpoint translate")
def check(service: Service) -> Iterator[Found]:
    by_file: dict[Module, dict[Function, Size]] = {}
    for route in service.routes:
        handler = route.handler
        if route.is_websocket or not handler.module.is_service or _EXEMPT.search(f"{route.path or ''} {handler.name}"):
            continue
        one = size(handler)
        if _is_fat(one):
            by_file.setdefault(handler.module, {})[handler] = one
    for module, endpoints in by_file.items():
        worst, most = max(endpoints.items(), key=lambda item: item[1].statements)
        message = f"the endpoint {worst.qualified} has {most}"
        others = [
            proof(handler, handler.node, f"{handler.qualified}: {one}")
            for handler, one in endpoints.items()
            if handler is not worst
        ]
        yield found(module, worst.node, message, *others, count=len(endpoints))


def _is_fat(one: Size) -> bool:
    return one.statements > _MOST_STATEMENTS and one.decisions > _MOST_DECISIONS


def _grown(lines: int) -> str:
    """An endpoint for the examples: two decisions and four statements per line."""
    body = "\n".join(
        f"            if order.a{n}:\n                order.b{n} = 1\n            order.c{n} = 2" for n in range(lines)
    )
    return f"""
        from fastapi import FastAPI

        app = FastAPI()

        @app.post("/orders")
        def create(order: dict):{{found}}
{body}
            return order
    """


def _flat(lines: int) -> str:
    """An endpoint for the examples: as many statements as lines, and no decision."""
    body = "\n".join(f"            row['c{n}'] = order['c{n}']" for n in range(lines))
    return f"""
        from fastapi import FastAPI

        app = FastAPI()

        @app.post("/orders")
        def create(order: dict, row: dict):
{body}
            return row
    """


EXAMPLES = [
    Bad(_grown(15).format(found="  # found")),
    Good(_grown(5).format(found=""), "it is long, and can still be read at once"),
    Good(
        _flat(60),
        "sixty statements that decide nothing are a translation",
    ),
    Good(
        _grown(15).format(found="").replace('@app.post("/orders")', "").replace("def create", "def plan"),
        "a function that no route runs is where logic belongs",
    ),
    Good(_grown(15).format(found="").replace("/orders", "/health/details"), "a health report looks at many things"),
]
