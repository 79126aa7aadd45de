"""Which settings are secrets, and which of their values production must not run with. It never shows a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from fastness.settings.fields import Declared, declared

# What stands where a secret should be. Compared without case, digits and punctuation, as a whole and as a part.
_PLACEHOLDERS = frozenset(
    {"admin", "default", "development", "dummy", "example", "letmein", "mypassword", "mysecret", "password", "postgres"}
    | {"qwerty", "root", "secret", "secretkey", "test", "thesecret", "todo"}
)
_PLACEHOLDER_PARTS = (
    *("changeme", "changethis", "changeit", "replaceme", "replacethis", "replaceit", "placeholder", "insertyour", "inserthere"),
    *("yoursecret", "yourpassword", "yourkey", "yourtoken", "notasecret", "insecure", "supersecret", "topsecret"),
    *("devsecret", "secretfordev"),
)
_MIN_DISTINCT = 6


class Secret:
    """Marks a setting as secret: `database_url: Annotated[str, Secret(min_length=8)]`. `SecretStr` needs no mark.

    Args:
        min_length: characters that a value must have in production.

    Raises:
        ValueError: `min_length` is below 1.
    """

    __slots__ = ("min_length",)

    def __init__(self, min_length: int = 16) -> None:
        if min_length < 1:
            raise ValueError(f"secret: {min_length=} must be at least 1")
        self.min_length = min_length


class DevelopmentDefault:
    """Marks a setting whose default is for development only, so that production must set it. A secret needs no mark."""

    __slots__ = ()


def secret_of(info: FieldInfo) -> Secret | None:
    """How secret a setting is, or None if it is not."""
    for mark in info.metadata:
        if isinstance(mark, Secret):
            return mark
    return Secret() if _mentions_secret(info.annotation) else None


def for_development(info: FieldInfo) -> bool:
    """The default of the setting, if it has one, is not for production."""
    return secret_of(info) is not None or any(isinstance(mark, DevelopmentDefault) for mark in info.metadata)


def refusals(settings: BaseSettings) -> Iterator[tuple[str, str]]:
    """The settings that production refuses, as the name of the environment variable and what is wrong; never a value."""
    models: dict[tuple[str, ...], BaseModel] = {(): settings}
    for setting in declared(type(settings)):
        parent = models.get(setting.path[:-1])
        if parent is None:
            continue  # below an optional model that is not set
        name = setting.path[-1]
        value = getattr(parent, name)
        if isinstance(value, BaseModel):
            models[setting.path] = value
        elif value is not None and for_development(setting.info):
            by_default = name not in parent.model_fields_set or value in setting.defaults
            fault = _fault(setting, list(_texts(value)), by_default=by_default)
            if fault is not None:
                yield setting.env, fault


def _fault(setting: Declared, texts: list[str], *, by_default: bool) -> str | None:
    if not texts:
        return None  # an empty collection of secrets
    if by_default:
        return "has its development default; production needs a value of its own"
    secret = secret_of(setting.info)
    if secret is None:
        return None
    if min(map(len, texts)) < secret.min_length:
        return f"is shorter than {secret.min_length} characters"
    if any(_is_placeholder(text, secret) for text in texts):
        return "looks like a placeholder, not like a secret"
    return None


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value, which may be a collection of them."""
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


def _is_placeholder(text: str, secret: Secret) -> bool:
    bare = re.sub(r"[^a-z]", "", text.lower())
    few = len(set(text)) < min(_MIN_DISTINCT, secret.min_length)
    return few or bare in _PLACEHOLDERS or any(part in bare for part in _PLACEHOLDER_PARTS)


def _mentions_secret(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return hasattr(kind, "get_secret_value") or any(_mentions_secret(argument) for argument in get_args(annotation))
