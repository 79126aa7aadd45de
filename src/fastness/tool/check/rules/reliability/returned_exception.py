"""An exception is returned instead of raised.

`return HTTPException(404)` answers 200 with the exception as the body, or fails while it is serialised; `return body, 503`,
as in Flask, answers 200 with an array. The client is told that all is well.

Raise the exception; set the status with `JSONResponse(status_code=...)` or `response.status_code`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.resolve import own_nodes
from fastness.tool.project.symbols import Function, Kind
from fastness.tool.project.values import External, Instance


@rule(severity=Severity.ERROR, practice="5.2", fix=Fix.SAFE, help="raise it, or answer with a response that carries the status")
def check(service: Service) -> Iterator[Found]:
    handlers = {route.handler for route in service.routes if not route.is_websocket}
    for handler in sorted(handlers, key=lambda function: (function.module.path, function.node.lineno)):
        for node in own_nodes(handler, ast.Return):
            what = _fault(service, handler, node.value)
            if what:
                yield found(handler, node, f"{handler.qualified} returns {what}: the client gets 200")


def _fault(service: Service, handler: Function, value: ast.expr | None) -> str | None:
    if isinstance(value, ast.Tuple) and len(value.elts) == 2:
        status = value.elts[1]
        number = status.value if isinstance(status, ast.Constant) else None
        is_status = isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599
        if is_status or (isinstance(status, ast.Attribute) and status.attr.startswith(("HTTP_4", "HTTP_5"))):
            return f"a tuple with the status {ast.unparse(status)}"
    if isinstance(value, ast.Name):
        bindings = service.resolver.binding(value.id, handler)
        if bindings is not None and bindings[1] is handler and all(b.kind is Kind.EXCEPT for b in bindings[0]):
            return f"the exception {value.id} that it caught"
    if isinstance(value, ast.Call) and any(_is_exception(service, v) for v in service.resolver.infer(value, handler)):
        return f"{ast.unparse(value.func)} instead of raising it"
    return None


def _is_exception(service: Service, value: object) -> bool:
    if isinstance(value, External):
        return value.path == "fastapi.HTTPException()"
    return isinstance(value, Instance) and service.resolver.derives(value.definition, "fastapi.HTTPException", "Exception")


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI, HTTPException

        app = FastAPI()

        @app.get("/a")
        def a(x: int):
            if x:
                return HTTPException(404)  # found
            return {"status": "down"}, 503  # found

        @app.get("/b")
        def b():
            try:
                return 1
            except ValueError as error:
                return error  # found
    """),
    Good("""
        from fastapi import FastAPI, HTTPException

        app = FastAPI()

        def missing():
            return HTTPException(404)

        @app.get("/a")
        def a(x: int):
            if x:
                raise missing()
            return {"a": 1}, 2

        @app.get("/b")
        def b() -> tuple[int, int]:
            return 1, 404 if a(1) else 2
    """),
]
