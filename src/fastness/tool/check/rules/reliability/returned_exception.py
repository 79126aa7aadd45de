"""An exception is returned instead of raised.

`return HTTPException(404)` answers 200 with the exception as the body, or fails while it is serialised; `return body, 503`,
as in Flask, answers 200 with an array. The client is told that all is well. So it is when a function returns the exception
that an endpoint calls, which answers with it or goes on as if there were none.

Raise the exception; set the status with `JSONResponse(status_code=...)` or `response.status_code`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import partial

from fastness.tool.check.knowledge.answering.answered import answered
from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.repair import Edit, Repair, imported, span, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External, Instance
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function, Kind, last_name


@rule(severity=Severity.ERROR, practice="5.2", fix=Fix.SAFE, help="raise it, or answer with a response that carries the status")
def check(service: Service) -> Iterator[Found]:
    handlers = {route.handler for route in service.routes if not route.is_websocket}
    for handler in sorted(handlers, key=lambda function: (function.module.path, function.line)):
        for node in handler.of(ast.Return):
            what = _fault(service, handler, node.value)
            if what:
                yield found(handler, node, f"{handler.qualified} returns {what}: the client gets 200")
    for function, (ending, told) in _behind(service, handlers).items():
        for node in function.of(ast.Return):
            what = _made(service, function, node.value)
            if what:
                yield found(function, node, f"{function.qualified} returns {what}: {ending}", *told)


def _behind(service: Service, handlers: Collection[Function]) -> dict[Function, tuple[str, list[Evidence]]]:
    """Functions that return exceptions which an endpoint answers with unseen, or which who calls them drops."""
    returning = {
        function: None
        for module in service.project.service
        if module.mentions("HTTPException")
        for function in module.functions
        if function not in handlers
        and service.notes.ask("returns an exception", function, partial(_returns_it_too, service, function))
    }
    behind: dict[Function, tuple[str, list[Evidence]]] = {}
    for one in answered(service) if returning else ():
        if one.function in returning and one.key is None and not one.is_looked_at:
            behind.setdefault(one.function, ("the client gets 200", list(one.told())))
    for caller in reach.from_requests(service) if returning else ():
        for edge in service.graph.edges(caller):
            if edge.target in returning and edge.target not in behind and _is_dropped(caller, edge.site.node):
                behind[edge.target] = (
                    "who calls it goes on",
                    [proof(caller, edge.site.node, "nothing looks at what it returns")],
                )
    return behind


def _returns_it_too(service: Service, function: Function) -> bool:
    """Besides what it is called for. What only makes exceptions returns them to who raises them."""
    made = [bool(_made(service, function, node.value)) for node in function.of(ast.Return)]
    return any(made) and not (all(made) and isinstance(function.body[-1], ast.Return))


def _is_dropped(caller: Function, call: ast.Call) -> bool:
    statements = (node.value for node in caller.of(ast.Expr))
    return any(call is (value.value if isinstance(value, ast.Await) else value) for value in statements)


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
    return _made(service, handler, value)


def _made(service: Service, function: Function, value: ast.expr | None) -> str | None:
    if isinstance(value, ast.Call) and any(_is_exception(service, v) for v in service.resolver.infer(value, function)):
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
    Bad("""
        # file: app/main.py
        from fastapi import FastAPI
        from app import orders

        app = FastAPI()

        @app.get("/orders")
        async def listed(first: int = 0):
            return await orders.listed(first)

        @app.post("/orders/{id}/close")
        async def close(id: int):
            await orders.close(id)
            return {"closed": id}
        # file: app/orders.py
        from fastapi import HTTPException

        async def listed(first):
            if first > 100:
                return HTTPException(422, "too far")  # found
            return []

        async def close(id):
            if id < 0:
                return HTTPException(status_code=404)  # found
    """),
    Good(
        """
        from fastapi import FastAPI, HTTPException

        app = FastAPI()

        def refused(reason: str):
            return HTTPException(403, reason)

        def found_or_not(id: int):
            if id < 0:
                return HTTPException(404)
            return {"id": id}

        @app.get("/orders/{id}")
        def order(id: int):
            answer = found_or_not(id)
            if isinstance(answer, HTTPException):
                raise answer
            return answer

        @app.delete("/orders/{id}")
        def delete(id: int):
            if id > 100:
                raise refused("not yours")
            return {"error": str(refused("no such order"))}
    """,
        "who calls it raises what it made, or looks whether it is an exception",
    ),
]
