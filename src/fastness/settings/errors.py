"""What is wrong with settings, as one list: a line per setting, and never a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from fastness.settings.fields import Declared, declared
from fastness.settings.secrets import secret_of

_WAYS = (
    "Set each in the environment, as NAME_FILE=/path/to/file, or as a file of that name in the secrets directory; "
    "in development also in .env."
)
# A shorter text is too likely to be a part of the message by chance.
_MIN_QUOTED = 4


class InvalidSettings(SystemExit, ValueError):  # noqa: N818 - it names what is wrong, as the text says
    """Settings that a service must not start with.

    It is a `ValueError` for whoever handles it, and a `SystemExit`, so that an interpreter that nobody stops prints the list
    and ends with status 1 instead of burying it under a traceback of the server's import machinery.

    Attributes:
        faults: the environment variable and what is wrong with it, for each setting.
    """

    def __init__(self, settings: str, faults: Iterable[tuple[str, str]], *, note: str = "") -> None:
        self.faults = tuple(faults)
        lines = [f"{settings} cannot be used:", *(f"  {name}: {fault}" for name, fault in self.faults), note or _WAYS]
        super().__init__("\n".join(lines))


def faults(settings: type[BaseSettings], error: ValidationError) -> Iterator[tuple[str, str]]:
    """Pydantic's errors by the environment variable that is to be mended."""
    known = {setting.path: setting for setting in declared(settings)}
    aliased = {tuple(part.lower() for part in setting.path): setting for setting in known.values()}
    by_env = {setting.env.lower(): setting for setting in known.values()}
    for found in error.errors(include_url=False, include_context=False):
        place = tuple(found["loc"])
        setting = None
        for length in range(len(place), 0, -1):
            path = tuple(str(step).lower() for step in place[:length])
            setting = aliased.get(path) or (by_env.get(path[0]) if length == 1 else None)
            if setting is not None:
                place = place[length:]
                break
        yield (
            setting.env if setting is not None else ".".join(map(str, place)) or settings.__name__,
            _fault(setting, found["type"], found["msg"], found["input"], place),
        )


def _fault(setting: Declared | None, kind: str, message: str, value: Any, place: tuple[Any, ...]) -> str:
    if kind == "missing":
        return "is required" + (f" ({'.'.join(map(str, place))})" if place else "")
    if setting is not None and secret_of(setting.info) is not None and kind in ("value_error", "assertion_error"):
        return "is not valid"  # the text is the validator's own, and may quote a part of the secret
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    for text in sorted(_texts(value), key=len, reverse=True):
        message = message.replace(text, "***")
    where = f"{'.'.join(map(str, place))}: " if place else ""
    return where + message[:1].lower() + message[1:]


def _texts(value: Any) -> Iterator[str]:
    """Every text within an input that a message might quote."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
    elif hasattr(value, "get_secret_value"):
        yield from _texts(value.get_secret_value())
    elif len(text := str(value)) >= _MIN_QUOTED:
        yield text
