"""The text of an exception is sent to the client.

`str(error)` of a database error carries SQL, parameters and table names; of an HTTP error the internal URL; of a file error
the path. It tells an attacker how the service is built and tells the user nothing.

Log the exception, and answer with a text of your own and an id under which the log can be found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.handlers import caught, is_broad, own
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project.module import Module
from fastness.tool.project.resolve import Resolver
from fastness.tool.project.symbols import Function, argument, last_name
from fastness.tool.project.values import External

# Exceptions of libraries whose text speaks of the inside.
_INTERNAL = ("SQLAlchemyError", "IntegrityError", "OperationalError", "DatabaseError", "DBAPIError", "ProgrammingError", "OSError",
             "IOError", "KeyError", "AttributeError", "TypeError", "RuntimeError", "ConnectionError", "ClientError", "RequestException")  # fmt: skip
_BODIES = ("JSONResponse", "ORJSONResponse", "PlainTextResponse", "HTMLResponse", "Response", "UJSONResponse")


@rule(severity=Severity.ERROR, practice="5.3", help="log the exception, and answer with a text of your own and the request's id")
def check(module: Module, resolver: Resolver) -> Iterator[Found]:
    if not module.mentions("except", "exception_handler", "Exception"):
        return
    for function in module.functions:
        yield from _in_handlers(function, resolver)
        yield from _in_exception_handler(function, resolver)


def _in_handlers(function: Function, resolver: Resolver) -> Iterator[Found]:
    for node in own(function.node.body):
        if not isinstance(node, ast.ExceptHandler) or node.name is None or not _speaks_of_the_inside(node):
            continue
        texts = {node.name, *_named_texts(node)}
        for inner in own(node.body):
            if isinstance(inner, ast.Call) and (body := _body(inner, function, resolver)) is not None and _tells(body, texts):
                evidence = proof(function, node, f"catches {ast.unparse(node.type) if node.type else 'everything'}")
                yield found(function, inner, f"the text of {node.name} goes to the client", evidence)


def _speaks_of_the_inside(handler: ast.ExceptHandler) -> bool:
    return is_broad(handler) or bool(caught(handler) & set(_INTERNAL))


def _in_exception_handler(function: Function, resolver: Resolver) -> Iterator[Found]:
    """`@app.exception_handler(Exception)` and functions that get the exception as a parameter."""
    names = _handled(function, resolver)
    for name in names:
        for inner in own(function.node.body):
            if isinstance(inner, ast.Call) and (body := _body(inner, function, resolver)) is not None and _tells(body, {name}):
                yield found(function, inner, f"the text of {name} goes to the client")


def _handled(function: Function, resolver: Resolver) -> list[str]:
    parameters = [parameter for parameter, _ in function.parameters]
    for decorator in function.decorators:
        if isinstance(decorator, ast.Call) and last_name(decorator) == "exception_handler":
            which = argument(decorator, "exc_class_or_status_code", 0)
            internal = which is not None and (last_name(which) in (*_INTERNAL, "Exception") or _status(which) == 500)
            return [parameters[-1].arg] if internal and len(parameters) >= 2 else []
    if len(parameters) == 2 or function.name.startswith(("on_", "handle")):
        # A handler that is added by a call, or a backend's `on_error=`: (request, exc: Exception).
        exceptions = [p.arg for p in parameters if p.annotation is not None and last_name(p.annotation) in (*_INTERNAL, "Exception")]
        requests = any("fastapi.Request()" in _paths(resolver, p, function) for p in parameters)
        return exceptions if requests else []
    return []


def _status(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _paths(resolver: Resolver, parameter: ast.arg, function: Function) -> set[str]:
    values = resolver.annotation(parameter.annotation, function.parent)
    return {value.path for value in values if isinstance(value, External)}


def _body(call: ast.Call, function: Function, resolver: Resolver) -> ast.expr | None:
    """What an HTTPException or a response carries to the client; None when the call makes neither."""
    for value in resolver.infer(call.func, function):
        if isinstance(value, External) and value.path == "fastapi.HTTPException":
            return argument(call, "detail", 1)
        if isinstance(value, External) and value.last in _BODIES:
            return argument(call, "content", 0)
    return None




def _named_texts(handler: ast.ExceptHandler) -> Iterator[str]:
    """Names that the handler gives to the text: `message = str(error)`."""
    for node in own(handler.body):
        if isinstance(node, ast.Assign) and handler.name and _tells(node.value, {handler.name}):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _tells(node: ast.expr, names: set[str]) -> bool:
    """The expression contains the text of one of these names: itself, `str()` or `repr()` of it, or an f-string with it."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in {"str", "repr", "format", "jsonable_encoder", "traceback.format_exception", "traceback.format_exc"}:
            return called == "traceback.format_exc" or any(_tells(one, names) for one in node.args)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return any(_tells(one, names) for one in node.args)
        if called in {"dict", *_BODIES}:
            return any(_tells(k.value, names) for k in node.keywords)
        return False
    if isinstance(node, ast.Attribute):
        return node.attr in {"args", "orig", "message"} and _tells(node.value, names)
    if isinstance(node, ast.JoinedStr | ast.Dict | ast.BinOp | ast.FormattedValue | ast.List | ast.Tuple | ast.IfExp | ast.Subscript):
        return any(_tells(child, names) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
    return False


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        @app.get("/a")
        def a():
            try:
                return 1
            except Exception as error:
                raise HTTPException(500, detail=f"failed: {error}")  # found

        @app.get("/b")
        def b():
            try:
                return 1
            except Exception as error:
                text = str(error)
                return JSONResponse({"detail": text}, status_code=500)  # found

        @app.exception_handler(Exception)
        async def handle(request, exc):
            return JSONResponse({"error": repr(exc)}, 500)  # found
    """),
    Good("""
        import logging
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import JSONResponse

        app = FastAPI()

        class OutOfStock(Exception): ...

        @app.get("/a")
        def a():
            try:
                return 1
            except OutOfStock as error:
                raise HTTPException(409, detail=str(error))
            except ValueError as error:
                raise HTTPException(400, detail=str(error))
            except Exception as error:
                logging.exception("failed: %s", error)
                raise HTTPException(500, detail="internal error") from error

        @app.exception_handler(OutOfStock)
        async def handle(request, exc):
            return JSONResponse({"error": str(exc)}, 409)
    """),
]
