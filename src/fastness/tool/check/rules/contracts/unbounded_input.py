"""A client decides how much the service works.

`limit: int = 100` is a default, not a bound: `?limit=10000000` loads the table into memory and holds a connection while
it does.

Give the bound to the parameter: `limit: Annotated[int, Query(ge=1, le=100)] = 20`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from fastness.tool.check.knowledge.bodies import fields
from fastness.tool.check.repair import Edit, Repair, argument_added, function_at, imported, is_written, replaced, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, proof, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service, literals
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import Class, Function, Scope, constant
from fastness.tool.project.values import External, Instance
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
    reported: dict[Function | Class, tuple[ast.AST, str, Function, int]] = {}
    for route in service.routes:
        if "GET" not in route.methods or route.handler.module.is_test:
            continue
        for reader, node, name in _read(service, route):
            _, _, first, count = reported.get(reader, (node, name, route.handler, 0))
            reported[reader] = (node, name, first, count + 1)
    for reader, (node, name, handler, count) in reported.items():
        at = reader.node if isinstance(reader, Function) else node
        evidence = [proof(reader, node, "declared here")] if at is not node else []
        evidence += [proof(handler, handler.node, "used by this endpoint")] if handler is not reader else []
        yield found(reader, at, f"{name} of {reader.qualified} has no upper bound", *evidence, count=count)


def _read(service: Service, route: Route) -> Iterator[tuple[Function | Class, ast.AST, str]]:
    """What the endpoint, a dependency or a model of query parameters reads without a bound: the first of each."""
    functions = [route.handler, *(d.target for d in service.tree(route) if isinstance(d.target, Function))]
    classes = [d.target for d in service.tree(route) if isinstance(d.target, Class)]
    made = {one: service.resolver.method(one, "__init__") for one in classes}
    models = [one for one in classes if made[one] is None]
    for function in (*functions, *filter(None, made.values())):
        for parameter in _unbounded(service, function, route.path or ""):
            yield function, parameter, parameter.arg
            break
        models += _query_models(service, function)
    for owner, node in (pair for model in dict.fromkeys(models) for pair in islice(_unbounded_fields(service, model), 1)):
        yield owner, node, ast.unparse(node.target)


def _query_models(service: Service, function: Function) -> Iterator[Class]:
    """`query: Annotated[Page, Query()]`: each field of the model is a parameter."""
    scope = function.parent
    for parameter, default in function.parameters:
        declared = [*literals.metadata(service.resolver, parameter.annotation, scope), (default, scope)]
        if any(isinstance(d, ast.Call) and "fastapi.Query" in service.resolver.paths(d.func, where) for d, where in declared):
            for value in service.resolver.annotation(parameter.annotation, scope):
                if isinstance(value, Instance) and service.is_model(value.definition):
                    yield value.definition


def _unbounded_fields(service: Service, model: Class) -> Iterator[tuple[Class, ast.AnnAssign]]:
    validated = {
        constant(given)
        for base in service.resolver.mro(model)
        if isinstance(base, Class)
        for method in base.methods
        for decorator in method.decorators
        if isinstance(decorator, ast.Call)
        for given in decorator.args
    }
    for name, (owner, node) in fields(service, model).items():
        if (
            isinstance(node, ast.AnnAssign)
            and name not in validated
            and _LIMIT.match(name)
            and _is_number(service, node.annotation, owner)
        ):
            declared = [d for d, _ in literals.metadata(service.resolver, node.annotation, owner)]
            calls = [call for call in (*declared, node.value) if isinstance(call, ast.Call)]
            if not any(_is_dependency_or_bound(service, call, owner) for call in calls):
                yield owner, node


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
    """Bound every such parameter of the function, or this field of the model, by 100, or by its default where that is more."""
    function = function_at(service, finding)
    if function is None:
        return _fix_field(service, finding)
    edits: list[Edit] = []
    defaults = dict(function.parameters)
    for parameter in _unbounded(service, function, ""):
        one = _bounded(service, function.parent, parameter.annotation, defaults[parameter], ("fastapi", "Query"))
        if one is None:
            return None
        edits += one
    return Repair(tuple(edits))


def _fix_field(service: Service, finding: Finding) -> Repair | None:
    for model in service.project.modules[finding.path].classes:
        for owner, node in _unbounded_fields(service, model):
            if owner is model and node.lineno == finding.line:
                edits = _bounded(service, owner, node.annotation, node.value, ("pydantic", "Field"))
                return Repair(edits) if edits is not None else None
    return None


def _bounded(
    service: Service, scope: Scope, annotation: ast.expr | None, default: ast.expr | None, by: tuple[str, str]
) -> tuple[Edit, ...] | None:
    module = module_of(scope)
    fields = [(n, module_of(s)) for n, s in literals.metadata(service.resolver, annotation, scope)]
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
    annotated, declaring = imported(module, "typing", "Annotated"), imported(module, *by)
    if annotation is None or not is_written(module, annotation) or annotated is None or declaring is None:
        return None
    text = f"{annotated[0]}[{text_of(module, annotation)}, {declaring[0]}({bound})]"
    return (replaced(module, annotation, text), *annotated[1], *declaring[1])


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
    Bad("""
        from dataclasses import dataclass
        from typing import Annotated
        from fastapi import Depends, FastAPI, Query
        from pydantic import BaseModel, Field

        app = FastAPI()

        class Page(BaseModel):
            skip: int = 0
            limit: Annotated[int, Field(ge=1)] = 20  # found

        @dataclass
        class Slice:
            size: int = 500  # found

        class Window:
            def __init__(self, per_page: int = 20):  # found
                self.per_page = per_page

        class Found(BaseModel):
            count: int

        @app.get("/a")
        def a(page: Annotated[Page, Query()]):
            return page.limit

        @app.get("/b")
        def b(page: Annotated[Slice, Depends()], window: Window = Depends()) -> Found:
            return Found(count=page.size + window.per_page)
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
        from pydantic import BaseModel, Field, conint, field_validator
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

        class Checked(BaseModel):
            limit: int = 20
            size: Annotated[int, Field(le=100)] = 20

            @field_validator("limit")
            def limited(cls, value):
                return min(value, 100)

        @app.get("/d")
        def d(page: Annotated[Checked, Query()]):
            return page.limit

        @app.get("/c")
        def c(limit: conint(ge=1, le=100) = 20, page_size: Annotated[int, Field(lt=50)] = 20, size: PageSize = 20):
            return limit
        # file: app/paging.py
        from typing import Annotated
        from fastapi import Query

        PageSize = Annotated[int, Query(le=200)]
    """,
        "bounded by its type, in a dependency's constructor, by a model's validator, or by an alias of another file",
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
