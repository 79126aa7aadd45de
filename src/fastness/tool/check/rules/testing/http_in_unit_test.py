"""A unit test goes through HTTP.

It needs the app, its settings and often its database, takes a hundred times as long, and when it fails it says 500 instead of
which rule of the domain is broken. What can only be tested that way has its logic in the endpoint.

Call the service or the function itself, with fakes for what it needs; keep the client for integration tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service

_UNIT = re.compile(r"(?:^|/)tests?/(?:.*/)?units?(?:_tests?)?/|(?:^|/)unit_?tests?/")
_CLIENTS = ("TestClient", "AsyncClient", "Client")
_MAKES = {
    "fastapi.testclient.TestClient", "starlette.testclient.TestClient", "async_asgi_testclient.TestClient", "httpx.AsyncClient",
    "httpx2.AsyncClient", "httpx.Client",
}  # fmt: skip


@rule(severity=Severity.INFO, practice="9.1", help="call the function itself, or move the test to the integration tests")
def check(service: Service) -> Iterator[Found]:
    for module in service.project.readable:
        if not _UNIT.search(module.path) or not module.mentions(*_CLIENTS):
            continue
        made = [
            site
            for name in _CLIENTS
            for site in module.calls_by_name.get(name, ())
            if service.resolver.calls(site, *_MAKES)
            and (site.name == "TestClient" or {k.arg for k in site.node.keywords} & {"app", "transport"})
        ]
        if made:
            yield found(made[0].scope, made[0].node, "a unit test goes through HTTP", count=len(made))


EXAMPLES = [
    Bad("""
        # file: tests/unit/test_orders.py
        from fastapi.testclient import TestClient
        from app.main import app

        client = TestClient(app)  # found

        def test_total():
            assert client.get("/orders/1").json()["total"] == 3
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()
    """),
    Good(
        """
        # file: tests/integration/test_orders.py
        from fastapi.testclient import TestClient
        from app.main import app

        client = TestClient(app)
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()
    """,
        "an integration test may",
    ),
    Good(
        """
        # file: tests/unit/test_orders.py
        from app.orders import total

        def test_total():
            assert total([1, 2]) == 3
        # file: app/orders.py
        def total(lines):
            return sum(lines)
    """,
        "it calls the function itself",
    ),
    Good(
        """
        # file: tests/unit/test_upstream.py
        import httpx
        from app.upstream import fetch

        def test_fetch():
            assert fetch(httpx.AsyncClient()) is None
        # file: app/upstream.py
        def fetch(client): ...
    """,
        "a client that the code under test calls out with is another thing",
    ),
]
