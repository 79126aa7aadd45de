"""A client decides how much the service works.

`limit: int = 100` is a default, not a bound: `?limit=10000000` loads the table into memory and holds a connection while
it does.

Give the bound to the parameter: `limit: Annotated[int, Query(ge=1, le=100)] = 20`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.repair import Edit, Repair, argument_added, function_at, imported, is_written, replaced, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, proof, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service, literals
from fastness.tool.project.symbols import Function, Scope
from fastness.tool.project.values import External
from fastness.tool.project.walk import walk

_LIMIT = re.compile(r"^(?:limit|page_size|per_page|items_per_page|pageSize|perPage|size|page_limit|count|top_k|take|first)$")
_BOUNDS = {"le", "lt"}
_FIELDS = ("fastapi.Query", "fastapi.Path", "fastapi.Body", "pydantic.Field", "fastapi.param_functions.Query", "fastapi.Form")


@rule(
    severity=Severity.WARNING,
    practice="3.3",
    fix=Fix.SAFE,
    help="bound it where it is declared: `Annotated[int, Query(ge=1, le=100)]`",
)
def check(service: Service) -> Iterator[Found]:
    reported: dict[Function, tuple[ast.arg, Function, int]] = {}
    for route in service.routes:
        if "GET" not in route.methods or route.handler.module.is_test:
            continue
        readers = [route.handler, *(d.target for d in service.tree(route) if isinstance(d.target, Function))]
        for function in readers:
            unbounded = next(_unbounded(service, function, route.path or ""), None)
            if unbounded is not None:
                _, first, count = reported.get(function, (unbounded, route.handler, 0))
                reported[function] = (unbounded, first, count + 1)
    for function, (parameter, handler, count) in reported.items():
        evidence = [proof(function, parameter, "declared here")]
        evidence += [proof(handler, handler.node, "used by this endpoint")] if handler is not function else []
        message = f"{parameter.arg} of {function.qualified} has no upper bound"
        yield found(function, function.node, message, *evidence, count=count)


def _unbounded(service: Service, function: Function, path: str) -> Iterator[ast.arg]:
    scope = function.parent
    for parameter, default in function.parameters:
        if (
            not _LIMIT.match(parameter.arg)
            or "{" + parameter.arg in path
            or not _is_number(service, parameter.annotation, scope)
        ):
            continue
        declared = [d for d, _ in literals.metadata(service.resolver, parameter.annotation, scope)]
        fields = [node for node in (*declared, default) if isinstance(node, ast.Call)]
        if any(_is_dependency_or_bound(service, node, scope) for node in fields) or _checked_inside(function, parameter.arg):
            continue
        if parameter.arg == "count" and not isinstance(default, ast.Call | ast.Constant):
            continue
        yield parameter


def _is_number(service: Service, annotation: ast.expr | None, scope: Scope) -> bool:
    values = service.resolver.annotation(annotation, scope)
    return any(isinstance(value, External) and value.path == "int()" for value in values)


def _is_dependency_or_bound(service: Service, node: ast.Call, scope: Scope) -> bool:
    paths = service.resolver.paths(node.func, scope)
    if paths & {"fastapi.Depends", "fastapi.Security", "fastapi.Header", "fastapi.Cookie"}:
        return True
    bound = any(k.arg in _BOUNDS or k.arg is None for k in node.keywords)
    return bound or not paths & set(_FIELDS)


def _checked_inside(function: Function, name: str) -> bool:
    """`min(limit, 100)`, or a comparison that bounds it."""
    return any(_bounds(node, name) for node in walk(function.node))


def _bounds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"min", "clamp"}:
        return any(isinstance(one, ast.Name) and one.id == name for one in node.args)
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == name:
        return any(isinstance(op, ast.Gt | ast.GtE) for op in node.ops)
    return False


def fix(service: Service, finding: Finding) -> Repair | None:
    """Bound every such parameter of the function by 100, or by its default where that is more."""
    function = function_at(service, finding)
    if function is None:
        return None
    edits: list[Edit] = []
    for parameter in _unbounded(service, function, ""):
        bounded = _bounded(service, function, parameter)
        if bounded is None:
            return None
        edits += bounded
    return Repair(tuple(edits))


def _bounded(service: Service, function: Function, parameter: ast.arg) -> tuple[Edit, ...] | None:
    module, scope = function.module, function.parent
    default = dict(function.parameters)[parameter]
    fields = [(n, module_of(s)) for n, s in literals.metadata(service.resolver, parameter.annotation, scope)]
    fields += [(default, module)] if isinstance(default, ast.Call) else []
    declared = [(n, m) for n, m in fields if isinstance(n, ast.Call) and service.resolver.paths(n.func, scope) & set(_FIELDS)]
    usual = literals.default(service.resolver, default, scope) if default is not None else None
    for node, _ in declared:
        usual = node.args[0] if node.args and usual in (None, default) else usual
    value = usual.value if isinstance(usual, ast.Constant) else None
    if usual is not None and not (value is None or value is ... or isinstance(value, int)):
        return None
    if usual is not None and not isinstance(usual, ast.Constant):
        return None  # what its default is, a bound must not be less than
    bound = f"le={max(100, value if isinstance(value, int) else 0)}"
    if declared:
        node, holder = declared[0]
        return (argument_added(holder, node, bound),) if is_written(holder, node) else None
    annotation = parameter.annotation
    annotated, query = imported(module, "typing", "Annotated"), imported(module, "fastapi", "Query")
    if annotation is None or not is_written(module, annotation) or annotated is None or query is None:
        return None
    text = f"{annotated[0]}[{text_of(module, annotation)}, {query[0]}({bound})]"
    return (replaced(module, annotation, text), *annotated[1], *query[1])


EXAMPLES = [
    Bad("""
        from typing import Annotated
        from fastapi import Depends, FastAPI, Query

        app = FastAPI()

        @app.get("/a")
        def a(skip: int = 0, limit: int = 100):  # found
            return limit

        @app.get("/b")
        def b(limit: Annotated[int, Query(ge=1)] = 10):  # found
            return limit

        def page(page_size: int = Query(10, ge=1)):  # found
            return page_size

        @app.get("/c")
        def c(size=Depends(page)):
            return size
    """),
    Good("""
        from typing import Annotated
        from fastapi import FastAPI, Query

        app = FastAPI()
        Limit = Annotated[int, Query(ge=1, le=100)]

        @app.get("/a")
        def a(limit: Annotated[int, Query(le=100)] = 10, size: Limit = 5):
            return limit

        @app.get("/b")
        def b(limit: int = Query(10, lt=100)):
            return limit

        @app.get("/c")
        def c(limit: int = 10):
            return min(limit, 100)

        @app.get("/d")
        def d(limit: str = "daily"):
            return limit

        def internal(limit: int = 100):
            return limit
    """),
    Good(
        """
        # file: app/main.py
        from typing import Annotated, Literal
        from fastapi import Depends, FastAPI, Query
        from pydantic import Field, conint
        from app.paging import PageSize

        app = FastAPI()

        class Page:
            def __init__(self, size: int = Query(20, ge=1, le=100)):
                self.size = size

        @app.get("/a")
        def a(limit: Literal[10, 20, 50] = 10):
            return limit

        @app.get("/b")
        def b(page: Page = Depends()):
            return page.size

        @app.get("/c")
        def c(limit: conint(ge=1, le=100) = 20, page_size: Annotated[int, Field(lt=50)] = 20, size: PageSize = 20):
            return limit
        # file: app/paging.py
        from typing import Annotated
        from fastapi import Query

        PageSize = Annotated[int, Query(le=200)]
    """,
        "bounded by its type, in a dependency's constructor, or by an alias of another file",
    ),
    Good(
        """
        from fastapi import FastAPI, HTTPException

        app = FastAPI()
        MOST = 100

        @app.get("/a")
        def a(limit: int = 10):
            if limit > MOST:
                raise HTTPException(422)
            return limit

        @app.get("/b")
        def b(per_page: int = 10):
            per_page = max(1, min(per_page, MOST))
            return per_page

        @app.get("/c/{count}")
        def c(count: int):
            return count

        @app.post("/orders")
        def order(count: int):
            return count
    """,
        "refused or cut before it is used; a part of the path, and the body of a write, are no page sizes",
    ),
]
