"""What endpoints answer with: which returns are responses already, and which become JSON."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from fastness.tool.project import Service
from fastness.tool.project.names.values import External, Instance
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Function, Kind, Scope, argument, handed_on, last_name, values

_BODILESS = {"204", "205", "304", "HTTP_204_NO_CONTENT", "HTTP_205_RESET_CONTENT", "HTTP_304_NOT_MODIFIED", "NO_CONTENT"}

# What makes the same in another form: of what it is given, and of what it is a method of.
CONVERTS = frozenset({
    "jsonable_encoder", "dumps", "dict", "list", "str", "asdict", "model_validate", "model_construct", "parse_obj",
    "wait_for", "shield", "gather",
})  # fmt: skip
CONVERTED = frozenset({"model_dump", "model_dump_json", "dict", "json", "to_dict", "as_dict", "encode", "strip"})
_FILLS = frozenset({"append", "extend", "insert", "add", "update", "setdefault"})


def returned(function: Function) -> list[ast.expr]:
    """The values that a function's own return statements give, `None` and nothing left out."""
    given = [node.value for node in function.of(ast.Return)]
    return [value for value in given if value is not None and not (isinstance(value, ast.Constant) and value.value is None)]


def put_into(function: Function, call: ast.Call, *, converted: bool = False) -> Iterator[ast.expr]:
    """What a call gives to a function that puts it into what it returns as it is: `user` of `success(data=user)`.

    Args:
        converted: also what it makes into text, JSON or a table first.
    """
    put = _returned_names(function, converted)
    for position, name in enumerate(function.filled):
        given = argument(call, name, position) if name in put else None
        if given is not None:
            yield given


@lru_cache(maxsize=1 << 14)
def _returned_names(function: Function, converted: bool) -> frozenset[str]:
    leaves = (part for answer in returned(function) for part in parts(answer, function, converted=converted))
    return frozenset(part.id for part in leaves if isinstance(part, ast.Name))


def parts(answer: ast.expr, function: Function, *, converted: bool = True) -> Iterator[ast.expr]:
    """What an answer is made of: its names and calls, and those of the tables and models that these names were given.

    What other functions are given is theirs to change.
    """
    pending, names = [answer], set[str]()
    while pending:
        part = pending.pop()
        if isinstance(part, ast.Name):
            if part.id not in names:
                names.add(part.id)
                yield part
                pending += _put_under(part.id, function, answer.lineno)
        elif isinstance(part, ast.Call):
            inside = _made_of(part, converted=converted)
            pending += inside
            if not inside:
                yield part
        elif isinstance(part, ast.Dict | ast.List | ast.Tuple):
            pending += values(part)
        elif isinstance(part, ast.IfExp):
            pending += (part.body, part.orelse)
        elif isinstance(part, ast.Await | ast.Starred):
            pending.append(part.value)
        elif converted:
            yield part
            pending += _of_text(part)


def _made_of(call: ast.Call, *, converted: bool) -> list[ast.expr]:
    """What a model, a response or another form of a value is made of; nothing for every other call."""
    name = last_name(call)
    if name[:1].isupper() or name == "cls":  # a model or a response
        positional = converted or name.endswith("Response")
        return [*(call.args if positional else ()), *(keyword.value for keyword in call.keywords)]
    if name == "jsonable_encoder":
        return call.args[:1]
    if not converted:
        return []
    if isinstance(call.func, ast.Attribute) and name in CONVERTED:
        return [call.func.value]
    return handed_on(call) if name in CONVERTS else []


def _of_text(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.JoinedStr):
        return [value.value for value in node.values if isinstance(value, ast.FormattedValue)]
    return [node.elt] if isinstance(node, ast.ListComp | ast.GeneratorExp) else []


def _put_under(name: str, function: Function, line: int) -> Iterator[ast.expr]:
    """What a name of a function is given, and what is put into it later; of a loop's variable, by the loop around the line."""
    bindings = function.bindings.get(name, ())
    loops = [binding for binding in bindings if binding.kind is Kind.LOOP]
    around = [binding for binding in loops if _spans(binding.node, line)]
    given = around[-1:] or [*loops, *(binding for binding in bindings if binding.kind is Kind.ASSIGN)]
    yield from (binding.value for binding in given if binding.value is not None)
    if any(binding.kind is Kind.ASSIGN for binding in bindings):
        yield from _fillings(function).get(name, ())


def _spans(node: ast.AST, line: int) -> bool:
    return isinstance(node, ast.For | ast.AsyncFor) and node.lineno <= line <= (node.end_lineno or 0)


@lru_cache(maxsize=1 << 14)
def _fillings(function: Function) -> Mapping[str, Sequence[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in function.of(ast.Assign, ast.AugAssign, ast.Expr):
        for into, value in filled(node):
            found.setdefault(into, []).append(value)
    return found


def filled(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What a statement puts into what a name stands for: `body["a"]["b"] = c`, `out.message = c`, `rows.append(c)`."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript | ast.Attribute):
                yield _root(target), node.value
    elif isinstance(node, ast.AugAssign):
        yield _root(node.target), node.value
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        if isinstance(called, ast.Attribute) and called.attr in _FILLS:
            yield from ((_root(called.value), given) for given in handed_on(node.value))


def _root(node: ast.expr) -> str:
    """The name that an item of an item, or an attribute, belongs to."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_response(service: Service, node: ast.expr, scope: Scope) -> bool:
    """The value is a response object, which FastAPI sends as it is."""
    known = service.resolver.infer(node, scope)
    for value in known:
        if isinstance(value, External) and value.last.endswith("Response") and value.path.endswith(")"):
            return True
        if isinstance(value, Instance) and any(
            isinstance(base, External) and base.path.endswith("Response") for base in service.resolver.mro(value.definition)
        ):
            return True
    if any(isinstance(value, Instance) and service.is_model(value.definition) for value in known):
        return False  # `OrderResponse(id=1)`: a model that is called so
    called = node.value if isinstance(node, ast.Await) else node
    # Clients of OAuth and single sign-on make the redirect themselves: `authorize_redirect`, `get_login_redirect`.
    return isinstance(called, ast.Call) and last_name(called).endswith(("Response", "_redirect"))


def sends_json(route: Route) -> bool:
    """The route answers with a JSON body, as far as its declaration tells."""
    if route.is_websocket or not route.methods & {"GET", "POST", "PUT", "PATCH", "DELETE"}:
        return False
    status = route.option("status_code")
    if status is not None and (last_name(status) in _BODILESS or ast.unparse(status) in _BODILESS):
        return False
    cls = route.option("response_class")
    if cls is None and route.router is not None:
        cls = argument(route.router.call, "default_response_class")
    if cls is None:
        return last_name(route.call) != "route"
    return "JSON" in last_name(cls)
