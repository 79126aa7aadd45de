"""What an endpoint answers with that has caught an exception: nothing, or that all is well."""

from __future__ import annotations

import ast

from fastness.tool.project.source.symbols import argument, constant, last_name

_LISTS = {"[]", "list()", "()", "tuple()"}
_NOTES = frozenset({
    "debug", "info", "warning", "warn", "error", "exception", "critical", "log", "print", "print_exc", "rollback",
    "capture_exception",
})  # fmt: skip
_OUTCOMES = {"success": (True,), "ok": (True,), "status": ("success", "ok"), "result": ("success", "ok")}


def told(handler: ast.ExceptHandler, *, is_model: bool, is_end: bool) -> str | None:
    """What a handler answers with that notes the exception and does nothing else.

    Args:
        is_model: FastAPI would refuse an answer that does not have what was promised.
        is_end: the function ends with the `try`, so that `None` is what it returns.
    """
    *before, last = handler.body
    if is_end and all(map(_is_note, handler.body)):
        return None if is_model else "the client gets nothing, and 200"
    if not isinstance(last, ast.Return) or not all(_is_note(statement) for statement in before):
        return None
    value = last.value
    if isinstance(value, ast.Call) and last_name(value) == "Response" and not value.args:
        status = argument(value, "status_code")
        good = status is None or constant(status) == 200 or last_name(status) == "HTTP_200_OK"
        return "it is answered with 200 all the same" if good and argument(value, "content") is None else None
    if _says_well(value):
        return "the client is told that all went well"
    is_list = value is not None and ast.unparse(value) in _LISTS
    is_nothing = is_none(value) or is_empty(value)
    return "the client gets nothing, and 200" if is_list or (is_nothing and not is_model) else None


def _is_note(statement: ast.stmt) -> bool:
    """It logs the exception, or undoes what was begun."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and last_name(value) in _NOTES)


def _says_well(value: ast.expr | None) -> bool:
    """`{"status": "success"}`, as it stands or in a JSON response."""
    if isinstance(value, ast.Call) and last_name(value) == "JSONResponse" and argument(value, "status_code", 1) is None:
        value = argument(value, "content", 0)
    if not isinstance(value, ast.Dict):
        return False
    return any(
        isinstance(key, ast.Constant) and constant(one) in _OUTCOMES.get(str(key.value), ())
        for key, one in zip(value.keys, value.values, strict=True)
    )


def is_none(value: ast.expr | None) -> bool:
    """Nothing, or several of it."""
    if isinstance(value, ast.Tuple) and value.elts:
        return all(map(is_none, value.elts))
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def is_empty(value: ast.expr | None) -> bool:
    """A list, table or set with nothing in it."""
    return value is not None and ast.unparse(value) in {"[]", "{}", "()", "list()", "dict()", "set()", "tuple()"}
