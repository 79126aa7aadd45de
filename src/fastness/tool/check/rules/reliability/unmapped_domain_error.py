"""An exception of the project's own reaches clients as 500.

The service raises it to say something that it knows: not found, not allowed, already there. Nobody catches it on the way to
the client and no handler is registered, so clients are told that the service is broken, retry, and alerts fire.

Register a handler for the family's base class, which maps each member to its status.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.answering import errors
from fastness.tool.check.knowledge.answering.handlers import caught, is_broad
from fastness.tool.check.knowledge.facts.chains import called
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.kept.reading import known_once
from fastness.tool.project.names.values import ClassValue, External, Instance
from fastness.tool.project.source.symbols import Class, Function

_OWN = {"Exception", "ValueError", "RuntimeError", "LookupError", "KeyError", "PermissionError"}
_EXCEPT = re.compile(r"^[ \t]*except\b([^:]*):", re.MULTILINE)
_WORD = re.compile(r"\w+")
_MAPPED = ("HTTPException", "RequestValidationError", "ValidationError", "Warning")


@rule(
    severity=Severity.INFO,
    practice="5.2",
    help="register a handler for it or its base class, with the status that it means",
)
def check(service: Service) -> Iterator[Found]:
    known = _handled(service)
    if known is None:
        return
    raised: dict[Class, list[tuple[Function, ast.Raise, tuple[Evidence, ...]]]] = {}
    for function, way in _exposed(service).items():
        for node in function.of(ast.Raise):
            defined = _raised(service, node, function)
            if defined is not None and not _is_caught(function.of(ast.Try), node.lineno, _names(service, defined)):
                raised.setdefault(defined, []).append((function, node, way))
    for defined, places in raised.items():
        if _names(service, defined) & known:
            continue
        function, node, way = places[0]
        evidence = [*way, proof(function, node, f"{function.qualified} raises it")]
        evidence += [proof(f, n, f"{f.qualified} raises it") for f, n, _ in places[1:5]]
        yield found(defined, defined.node, f"clients get 500 for {defined.name}: nothing maps it", *evidence, count=len(places))


def _handled(service: Service) -> set[str] | None:
    """The names of exceptions for which handlers are registered; None when that cannot be told."""
    names: set[str] = set()
    for registered in errors.handlers(service):
        if not registered.names:
            return None  # registered in a loop, or by a table
        names |= registered.names
    return names - {"Exception"}


def _exposed(service: Service) -> dict[Function, tuple[Evidence, ...]]:
    """The functions whose exceptions reach the client, with the way from the endpoint."""
    found_: dict[Function, tuple[Evidence, ...]] = {}
    for route in service.routes:
        if route.handler.module.is_service and not route.is_websocket:
            found_[route.handler] = (proof(route.handler, route.handler.node, f"the endpoint {route.handler.qualified}"),)
    pending = list(found_)
    while pending:
        function = pending.pop(0)
        blocks = function.of(ast.Try)
        for edge in service.graph.edges(function):
            target = edge.target
            if target not in found_ and target.module.is_service and not _is_caught(blocks, edge.site.line, {"Exception"}):
                found_[target] = (*found_[function], called(edge.site, f"calls {target.qualified}"))[:6]
                pending.append(target)
    return found_


def _is_caught(blocks: list[ast.Try], line: int, names: set[str]) -> bool:
    """A `try` stands around the line and catches one of these, or everything."""
    return any(
        outer.body[0].lineno <= line <= (outer.body[-1].end_lineno or 0)
        and any(is_broad(handler) or caught(handler) & names for handler in outer.handlers)
        for outer in blocks
    )


def _raised(service: Service, node: ast.Raise, function: Function) -> Class | None:
    """The project's own exception that a statement raises, when it is one that handlers would map."""
    for value in service.resolver.infer(node.exc, function):
        if isinstance(value, Instance | ClassValue):
            outer = [base for base in service.resolver.mro(value.definition) if isinstance(base, External)]
            own = outer and all(base.last in _OWN and not base.path.endswith(_MAPPED) for base in outer)
            if own and not _names(service, value.definition) & _caught(service):
                return value.definition
    return None


def _names(service: Service, defined: Class) -> set[str]:
    return {base.name for base in service.resolver.mro(defined) if isinstance(base, Class)}


@known_once
def _caught(service: Service) -> set[str]:
    """Every word of every `except` of the service: who calls through that is not followed here."""
    return {
        word for module in service.project.service for clause in _EXCEPT.findall(module.text) for word in _WORD.findall(clause)
    }


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()

        class OutOfStock(Exception):  # found
            pass

        def reserve(item):
            raise OutOfStock(item)

        @app.post("/orders")
        def create(item: int):
            reserve(item)
    """),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        class ShopError(Exception): ...

        class OutOfStock(ShopError): ...

        @app.exception_handler(ShopError)
        def answer(request, exc): ...

        @app.post("/orders")
        def create(item: int):
            raise OutOfStock(item)
    """,
        "its base class is mapped",
    ),
    Good(
        """
        from fastapi import FastAPI, HTTPException

        app = FastAPI()

        class OutOfStock(Exception): ...

        class Gone(HTTPException): ...

        def reserve(item):
            raise OutOfStock(item)

        @app.post("/orders")
        def create(item: int):
            try:
                reserve(item)
            except OutOfStock as error:
                raise HTTPException(409) from error

        @app.get("/orders")
        def orders():
            raise Gone(410)
    """,
        "the endpoint translates it, and FastAPI maps its own",
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        class OutOfStock(Exception): ...

        def answer(request, exc): ...

        ERRORS = {OutOfStock: 409}
        for cls in ERRORS:
            app.add_exception_handler(cls, answer)

        @app.post("/orders")
        def create(item: int):
            raise OutOfStock(item)
    """,
        "a table registers the handlers",
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()

        class Broken(Exception): ...

        def work():
            raise Broken

        def job():
            work()

        @app.get("/")
        def index():
            try:
                work()
            except Exception:
                return None
    """,
        "no request is told: everything is caught there, and a job is no request",
    ),
]
