"""A client that repeats a request creates the thing twice.

When the answer is lost, on a timeout or a deployment, the client cannot know whether the order was stored. It must either
repeat the request, and perhaps pay twice, or not, and perhaps lose it.

Accept an `Idempotency-Key`, and answer a repeated key with the stored answer of the first request (`fastness.idempotency`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.running import work
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Function

_WORDS = ("idempoten", "Idempoten", "IDEMPOTEN", "dedup", "request_key", "client_token")
_HARMLESS = ("login", "logout", "token", "auth", "search", "query", "refresh", "password", "verify", "webhook")


@rule(severity=Severity.INFO, practice="5.4", help="accept an `Idempotency-Key`, and keep the answer under it")
def check(service: Service) -> Iterator[Found]:
    posts = [route for route in service.routes if route.methods == {"POST"} and route.handler.module.is_service]
    if any(_is_keyed(service, route) for route in posts):
        # The service knows how, one by one: an action on what there is already needs no key as a creation does.
        posts = [route for route in posts if not _is_keyed(service, route) and "{" not in (route.path or "")]
    elif any(module.mentions(*_WORDS) for module in service.project.service):
        return  # a middleware, or the service itself
    creating = [route for route in posts if not _is_harmless(f"{route.path} {route.handler.name}")]
    chains = service.graph.nearest([route.handler for route in creating], _kind)
    storing = list(dict.fromkeys(route.handler for route in creating if route.handler in chains))
    if storing:
        first = storing[0]
        kind, chain = min(chains[first].items())
        evidence = [*told(chain, kind), *(proof(one, one.node, f"so does {one.qualified}") for one in storing[1:6])]
        message = f"{first.qualified} {kind}, and cannot tell a repeated request from a new one"
        yield found(first, first.node, message, *evidence, count=len(storing))


def _is_keyed(service: Service, route: Route) -> bool:
    """The route, or a dependency of it, takes a key."""
    tree = service.tree(route)
    taking = [route.handler, *(one.target for one in tree if isinstance(one.target, Function))]
    declared = [route.call, *(one.node for one in tree), *(one.node.args for one in taking)]
    return any(word in text for text in map(ast.unparse, declared) for word in _WORDS)


def _is_harmless(text: str) -> bool:
    return any(word in text.lower() for word in _HARMLESS)


def _kind(call: Outward) -> str | None:
    kind = work.durable(call.target.path)
    return kind if kind not in {"sends mail", "stores a file"} else None


_APP = """
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker

        Local = sessionmaker()
        app = FastAPI()

        def get_db():
            with Local() as db:
                yield db

        def store(db, order):
            db.add(order)
            db.commit()
"""

EXAMPLES = [
    Bad(f"""{_APP}
        @app.post("/orders")
        def create(order: str, db: Session = Depends(get_db)):  # found
            db.commit()
    """),
    Bad(f"""{_APP}
        def key(idempotency_key: str): ...

        @app.post("/orders", dependencies=[Depends(key)])
        def create(order: str, db: Session = Depends(get_db)):
            db.commit()

        @app.post("/invoices")
        def bill(order: str, db: Session = Depends(get_db)):  # found
            db.commit()

        @app.post("/orders/{{id}}/cancel")
        def cancel(id: int, db: Session = Depends(get_db)):
            db.commit()
    """),
    Good(
        f"""{_APP}
        @app.post("/orders")
        def create(order: str, idempotency_key: str, db: Session = Depends(get_db)):
            db.commit()
    """,
        "a key is accepted",
    ),
    Good(
        f"""{_APP}
        @app.put("/orders/{{id}}")
        def replace(id: int, db: Session = Depends(get_db)):
            db.commit()

        @app.post("/login")
        def login(db: Session = Depends(get_db)):
            db.commit()
    """,
        "PUT may be repeated, and so may a login",
    ),
    Good(
        f"""{_APP}
        @app.post("/orders/price")
        def price(order: str, db: Session = Depends(get_db)):
            return db.execute("select 1")
    """,
        "nothing is stored",
    ),
]
