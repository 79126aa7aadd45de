"""Settings as documentation: rows for a table, and an example of an environment file. It shows no secret."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_json
from pydantic_settings import BaseSettings

from fastness.settings.fields import Declared, Setting, declared
from fastness.settings.secrets import for_development, secret_of


def rows(settings: type[BaseSettings]) -> Iterator[Setting]:
    """Every setting that has a value of its own, in the order of declaration."""
    nested = {setting.path[:-1] for setting in declared(settings)}
    for setting in declared(settings):
        if setting.path in nested:
            continue
        info = setting.info
        secret = secret_of(info) is not None
        required = info.is_required() and not setting.defaults
        yield Setting(
            name=".".join(setting.path),
            env=setting.env,
            type=_type(info.annotation),
            default=None if secret else _default(setting),
            required=required,
            required_in_production=required or (for_development(info) and bool(setting.defaults or info.default_factory)),
            secret=secret,
            doc=" ".join((info.description or _docstring(setting.owner, setting.path[-1])).split()),
        )


def env_example(settings: Iterable[Setting]) -> str:
    """The text of a `.env.example`: every setting with what it is for; what has a default is commented out."""
    blocks = []
    for setting in settings:
        notes = [setting.doc or setting.name, f"({setting.type})"]
        if setting.secret:
            notes.append("Secret.")
        if setting.required_in_production:
            notes.append("Required." if setting.required else "Required in production.")
        line = f"{setting.env}={setting.default or ''}"
        blocks.append(f"# {' '.join(notes)}\n{line if setting.required else f'# {line}'}\n")
    return "\n".join(blocks)


def _docstring(owner: type[BaseModel], name: str) -> str:
    """The string below a field's declaration.

    Pydantic reads it too (`use_attribute_docstrings`), but when the class is made, which every start of a service would pay.
    """
    return next((found for kind in owner.__mro__ if (found := _docstrings(kind).get(name))), "")


@cache
def _docstrings(kind: type) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError, SyntaxError):  # made without source: by a function, in a shell
        return {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: text.value.value
        for field, text in pairwise(statements)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _default(setting: Declared) -> str | None:
    value = setting.defaults[-1] if setting.defaults else PydanticUndefined
    if value is PydanticUndefined:
        return None
    if isinstance(value, Enum):
        value = value.value
    return value if isinstance(value, str) else to_json(value, fallback=str).decode().strip('"')


def _type(annotation: Any) -> str:
    """An annotation in plain words: `int`, `list[str]`, `'a' | 'b'`, `str | None`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (Union, UnionType):
        return " | ".join(map(_type, arguments))
    name = getattr(origin or annotation, "__name__", str(annotation))
    if annotation is NoneType or annotation is None:
        return "None"
    if not arguments:
        return name
    return f"{name}[{', '.join('...' if argument is Ellipsis else _type(argument) for argument in arguments)}]"
