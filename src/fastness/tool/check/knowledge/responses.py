"""What endpoints answer with: which returns are responses already, and which become JSON."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.project import Service
from fastness.tool.project.resolve import own_nodes
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import Function, Scope, argument, last_name, values
from fastness.tool.project.values import External, Instance

_BODILESS = {"204", "205", "304", "HTTP_204_NO_CONTENT", "HTTP_205_RESET_CONTENT", "HTTP_304_NOT_MODIFIED", "NO_CONTENT"}


def returned(function: Function) -> list[ast.expr]:
    """The values that a function's own return statements give, `None` and nothing left out."""
    given = [node.value for node in own_nodes(function, ast.Return)]
    return [value for value in given if value is not None and not (isinstance(value, ast.Constant) and value.value is None)]


def put_into(function: Function, call: ast.Call) -> Iterator[ast.expr]:
    """What a call gives to a function that puts it into what it returns as it is: `user` of `success(data=user)`."""
    names = [parameter.arg for parameter, _ in function.parameters]
    bound = function.owner is not None and not function.decorated("staticmethod")
    put = {name for answer in returned(function) for name in _parts(answer)}
    for position, name in enumerate(names[bound:]):
        given = argument(call, name, position) if name in put else None
        if given is not None:
            yield given


def _parts(answer: ast.expr) -> Iterator[str]:
    """The names of which an answer is made. What other functions are given is theirs to change."""
    parts = [answer]
    if isinstance(answer, ast.Call) and last_name(answer)[:1].isupper():  # a model or a response
        parts = [keyword.value for keyword in answer.keywords]
        parts += answer.args if last_name(answer).endswith("Response") else []
    while parts:
        part = parts.pop()
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Dict | ast.List | ast.Tuple):
            parts += values(part)
        elif isinstance(part, ast.Call) and last_name(part) == "jsonable_encoder":
            parts += part.args[:1]


def is_response(service: Service, node: ast.expr, scope: Scope) -> bool:
    """The value is a response object, which FastAPI sends as it is."""
    for value in service.resolver.infer(node, scope):
        if isinstance(value, External) and value.last.endswith("Response") and value.path.endswith(")"):
            return True
        if isinstance(value, Instance) and any(
            isinstance(base, External) and base.path.endswith("Response") for base in service.resolver.mro(value.definition)
        ):
            return True
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
