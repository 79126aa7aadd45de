"""An exception is returned instead of raised.

`return HTTPException(404)` answers 200 with the exception as the body, or fails while it is serialised; `return body, 503`,
as in Flask, answers 200 with an array. The client is told that all is well.

Raise the exception; set the status with `JSONResponse(status_code=...)` or `response.status_code`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.repair import Edit, Repair, imported, span, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Function, Kind, last_name
from fastness.tool.project.values import External, Instance


@rule(severity=Severity.ERROR, practice="5.2", fix=Fix.SAFE, help="raise it, or answer with a response that carries the status")
def check(service: Service) -> Iterator[Found]:
    handlers = {route.handler for route in service.routes if not route.is_websocket}
    for handler in sorted(handlers, key=lambda function: (function.module.path, function.line)):
        for node in handler.of(ast.Return):
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


def fix(service: Service, finding: Finding) -> Repair | None:
    """Raise it; answer with the status that stands beside a body."""
    module = service.project.modules[finding.path]
    for handler in module.functions:
        for node in handler.of(ast.Return):
            if (node.lineno, node.col_offset + 1) == (finding.line, finding.column) and node.value is not None:
                start, end = span(module, node)
                if isinstance(node.value, ast.Tuple):
                    return _with_status(module, node.value, start, end)
                if _would_be_caught(handler, node):
                    return None
                return Repair((Edit(module.path, start, start + len("return"), "raise"),))
    return None


def _with_status(module: Module, answer: ast.Tuple, start: int, end: int) -> Repair | None:
    body, status = answer.elts
    response, encoder = imported(module, "fastapi.responses", "JSONResponse"), None
    if isinstance(body, ast.Call | ast.Await) or response is None:
        return None  # it may be a response already
    text, imports = text_of(module, body), response[1]
    if any(not isinstance(node, _LITERAL) for node in ast.walk(body)):
        encoder = imported(module, "fastapi.encoders", "jsonable_encoder")
        if encoder is None:
            return None
        text, imports = f"{encoder[0]}({text})", (*imports, *encoder[1])
    answered = f"return {response[0]}({text}, status_code={text_of(module, status)})"
    return Repair((Edit(module.path, start, end, answered), *imports))


_LITERAL = (ast.Dict, ast.List, ast.Constant, ast.expr_context)


def _would_be_caught(handler: Function, node: ast.Return) -> bool:
    """A `try` of the same function would catch it, and answer something else."""
    for attempt in handler.of(ast.Try):
        if any(inner is node for statement in attempt.body for inner in ast.walk(statement)):
            caught = [one for h in attempt.handlers for one in (h.type.elts if isinstance(h.type, ast.Tuple) else [h.type])]
            if any(one is None or last_name(one) in {"Exception", "BaseException", "HTTPException"} for one in caught):
                return True
    return False


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
    Good(
        """
        from fastapi import FastAPI
        from pydantic import BaseModel

        class QuotaError(BaseModel):
            used: int

        class Refused(Exception):
            def response(self):
                return {"refused": True}

        app = FastAPI()

        @app.get("/quota")
        def quota():
            return QuotaError(used=1)

        @app.get("/a")
        def a():
            try:
                return [1], 400000
            except Refused as error:
                return error.response()

        @app.get("/b")
        def b(total: int = 500) -> tuple[list[int], int]:
            return [], total
    """,
        "a model that is called an error, an exception's own answer, and a total beside a page",
    ),
    Good(
        """
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.exception_handler(ValueError)
        async def invalid(request, error):
            return JSONResponse({"detail": "invalid"}, 400)

        @app.get("/a")
        def a(x: int):
            def missing():
                return HTTPException(404)

            errors = [HTTPException(400, "one"), missing()]
            if x:
                raise errors[0]
            return {"errors": len(errors)}
    """,
        "what a handler of exceptions or a nested function returns is no endpoint's answer",
    ),
]
