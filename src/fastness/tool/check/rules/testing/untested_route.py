"""No test calls this path operation.

Whether its router is included, its dependencies resolve and its response fits its model is known when the first user calls.

Test each operation once through the app: the good case and its most important refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route

_PROBE = re.compile(r"health|ready|livez|metrics|version", re.IGNORECASE)


@rule(severity=Severity.INFO, practice="9.2", help="test the operation once through the app")
def check(service: Service) -> Iterator[Found]:
    tests = "\n".join(module.text for module in service.project.readable if module.is_test)
    contract = "schemathesis" in tests or ("openapi" in tests and "iter_route" in tests)
    if contract:
        return  # generated from the description, so all of them
    whole = frozenset(re.findall(r"[\w-]+", tests))
    words = whole | {part for word in whole if "-" in word for part in word.split("-")}
    untested = [route for route in service.routes if _counts(route) and not _is_tested(service, route, words)]
    if untested:
        first = untested[0].handler
        evidence = [proof(route.handler, route.handler.node, f"nor {_path(service, route)}") for route in untested[1:10]]
        counted = [route for route in service.routes if _counts(route)]
        message = f"no test calls {_path(service, untested[0])}: {len(untested)} of {len(counted)} path operations"
        yield found(first, first.node, message, *evidence, count=len(untested))


def _counts(route: Route) -> bool:
    return route.handler.module.is_service and not _PROBE.search(f"{route.path} {route.handler.name}")


def _path(service: Service, route: Route) -> str:
    return f"{'/'.join(sorted(route.methods))} {next(iter(service.prefixes(route)), route.path)}"


def _is_tested(service: Service, route: Route, words: frozenset[str]) -> bool:
    """The tests name the path's last fixed part, or the endpoint itself (`url_path_for`)."""
    if route.handler.name in words:
        return True
    for path in service.prefixes(route) or [route.path or ""]:
        fixed = [part for part in path.split("/") if part and "{" not in part]
        if not fixed or words.issuperset(re.findall(r"[\w-]+", fixed[-1])):
            return True
    return False


EXAMPLES = [
    Bad("""
        # file: tests/test_orders.py
        def test_orders(client):
            client.get("/orders")
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def list_orders(): ...

        @app.post("/refunds")
        def create_refund(): ...  # found
    """),
    Good(
        """
        # file: tests/test_orders.py
        def test_orders(client):
            client.get(f"/api/orders/{1}")
            client.post(client.app.url_path_for("create_refund"))
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/api/orders/{id}")
        def one_order(id: int): ...

        @app.post("/refunds")
        def create_refund(): ...
    """,
        "called with a parameter, and by name",
    ),
    Good(
        """
        # file: tests/test_contract.py
        import schemathesis
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/orders")
        def list_orders(): ...
    """,
        "calls are generated from the description",
    ),
    Good(
        """
        # file: tests/test_nothing.py
        def test_nothing(): ...
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/healthz")
        def healthy(): ...
    """,
        "the platform calls the probes all day",
    ),
]
