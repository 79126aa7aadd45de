"""What a settings class declares: every setting with the environment variable that sets it. It reads no values."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings


class Declared(NamedTuple):
    """One setting, at any depth.

    Attributes:
        path: field names from the settings class down to it.
        env: the environment variable that sets it.
        owner: the model that has the field.
        info: what Pydantic knows of the field.
        model: the model below it, when it has fields of its own.
        defaults: its fixed default, and what the defaults of the models above it say of it.
    """

    path: tuple[str, ...]
    env: str
    owner: type[BaseModel]
    info: FieldInfo
    model: type[BaseModel] | None
    defaults: tuple[Any, ...]


class Setting(NamedTuple):
    """One setting, as documentation shows it.

    Attributes:
        name: as code has it, `database.pool_size`.
        env: the environment variable.
        type: what it holds.
        default: as one would write it in the environment; None where there is none, it is made anew each time, or it is secret.
        required: it must be set everywhere.
        required_in_production: its default is for development only.
        secret: it is to be kept secret.
        doc: what it is for.
    """

    name: str
    env: str
    type: str
    default: str | None
    required: bool
    required_in_production: bool
    secret: bool
    doc: str


def declared(settings: type[BaseSettings]) -> Iterator[Declared]:
    """Every setting of a class in the order of declaration; a nested model comes before its fields."""
    yield from _walk(settings, None, settings.model_config.get("env_nested_delimiter"), ())


def _walk(
    model: type[BaseModel], parent: Declared | None, delimiter: str | None, above: tuple[type[BaseModel], ...]
) -> Iterator[Declared]:
    for name, info in model.model_fields.items():
        alias = _alias(info)
        if parent is None:
            # As pydantic-settings has it: the prefix goes before names, not before aliases.
            env = alias or f"{model.model_config.get('env_prefix') or ''}{name}"
            own = Declared((name,), env.upper(), model, info, _model(info.annotation), _fixed(info.default))
        else:
            inherited = tuple(value for default in parent.defaults for value in _fixed(getattr(default, name, None)))
            env = f"{parent.env}{delimiter}{alias or name}"
            own = Declared(
                (*parent.path, name), env.upper(), model, info, _model(info.annotation), (*_fixed(info.default), *inherited)
            )
        yield own
        if own.model is not None and delimiter and own.model not in above:
            yield from _walk(own.model, own, delimiter, (*above, own.model))


def _fixed(default: Any) -> tuple[Any, ...]:
    return () if default is None or default is PydanticUndefined else (default,)


def _alias(info: FieldInfo) -> str | None:
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else None


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation names, also as `Model | None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _model(get_args(annotation)[0])
    if origin in (Union, UnionType):
        rest = [argument for argument in get_args(annotation) if argument is not type(None)]
        return _model(rest[0]) if len(rest) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
