"""What every area gets to compare: both contracts, the engine, the settings, and the list that changes go to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastness.tool.contract.changes import Change, Level
from fastness.tool.contract.dialect import Direction, Schema
from fastness.tool.contract.model import Contract, Operation, Parameter
from fastness.tool.contract.places import Places
from fastness.tool.contract.settings import UNPROMISED, Settings
from fastness.tool.contract.untouched import Untouched
from fastness.tool.contract.verdict import Engine

_LONGEST = 2000  # characters of an old or new value that a change carries


@dataclass(frozen=True, slots=True)
class Pair:
    """An operation in both documents.

    Attributes:
        calls_client: the server makes this request (a webhook or callback): sender and receiver change places.
    """

    old: Operation
    new: Operation
    calls_client: bool = False

    @property
    def request(self) -> Direction:
        """Who sends what the document calls the request."""
        return Direction.RESPONSE if self.calls_client else Direction.REQUEST

    @property
    def response(self) -> Direction:
        """Who sends what the document calls the response."""
        return Direction.REQUEST if self.calls_client else Direction.RESPONSE


@dataclass(slots=True)
class Context:
    """One comparison as it goes on."""

    old: Contract
    new: Contract
    settings: Settings
    engine: Engine = field(default_factory=Engine)
    changes: list[Change] = field(default_factory=list)
    old_places: Places = field(init=False)
    new_places: Places = field(init=False)
    untouched: Untouched = field(init=False)

    def __post_init__(self) -> None:
        self.old_places, self.new_places = Places(self.old.raw), Places(self.new.raw)
        self.untouched = Untouched(self.old.raw, self.new.raw)

    def add(
        self,
        identity: str,
        level: Level,
        message: str,
        *,
        operation: Operation | None = None,
        places: tuple[str, str],
        counterexample: Any = None,
        old: Any = None,
        new: Any = None,
    ) -> None:
        """Report a change, at the level that the project gives it.

        What an operation below beta takes back is no promise broken, so it is information.
        """
        promised = operation is None or self.stability(operation) not in UNPROMISED
        if level is not Level.INFO:
            level = self.settings.level(identity, level) if promised else Level.INFO
        else:
            level = self.settings.level(identity, level)
        self.changes.append(
            Change(
                id=identity,
                level=level,
                operation="" if operation is None else operation.title,
                places=places,
                message=message,
                counterexample=counterexample,
                old=shortened(old),
                new=shortened(new),
            )
        )

    def stability(self, operation: Operation) -> str:
        """What the operation promises."""
        return self.settings.stability(operation.path, operation.marks.stability)

    def old_schema(self, raw: Any, direction: Direction, *, text: bool = False) -> Schema:
        """A schema of the old document."""
        return (self.old.requests if direction is Direction.REQUEST else self.old.responses).schema(raw, text=text)

    def new_schema(self, raw: Any, direction: Direction, *, text: bool = False) -> Schema:
        """A schema of the new document."""
        return (self.new.requests if direction is Direction.REQUEST else self.new.responses).schema(raw, text=text)

    def request(self, pair: Pair | Operation, **replaced: Any) -> dict[str, Any]:
        """A request that the old contract allows: what it requires, and nothing else, with `replaced` in it.

        Keys: method, path, query, headers, cookies, body, content_type. A part that could not be made up is left out.
        """
        operation = pair.old if isinstance(pair, Pair) else pair
        found: dict[str, Any] = {"method": operation.method.upper(), "path": operation.path}
        for part, where in (("query", "query"), ("headers", "header"), ("cookies", "cookie")):
            values = dict(self._required(operation, where))
            if values:
                found[part] = values
        places = {parameter.name: parameter for (where, _), parameter in operation.parameters.items() if where == "path"}
        values = {name: self._sample(parameter) for name, parameter in places.items()}
        values.update(replaced.pop("path", {}))
        for name, value in values.items():
            found["path"] = found["path"].replace(f"{{{name}}}", quote(wire(value), safe=""))
        if operation.body is not None and operation.body.content and "body" not in replaced:
            media = next(iter(operation.body.content.values()))
            if operation.body.required:
                found["content_type"] = media.type
                with suppress(LookupError):
                    found["body"] = self.engine.example(self.old_schema(media.schema, Direction.REQUEST))
        for part, value in replaced.items():
            found[part] = {**found.get(part, {}), **value} if part in ("query", "headers", "cookies") else value
        return found

    def _required(self, operation: Operation, where: str) -> Iterator[tuple[str, Any]]:
        for (place, _), parameter in operation.parameters.items():
            if place == where and parameter.required:
                yield parameter.name, self._sample(parameter)

    def _sample(self, parameter: Parameter) -> Any:
        try:
            return self.engine.example(self.old_schema(parameter.schema, Direction.REQUEST, text=parameter.media is None))
        except LookupError:
            return "value"


def wire(value: Any) -> str:
    """A simple value as it stands in a URL or header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(wire, value))
    if isinstance(value, Mapping):
        return ",".join(f"{name},{wire(inner)}" for name, inner in value.items())
    return "" if value is None else str(value)


def shortened(value: Any) -> Any:
    """`value`, or what it is when it is too long to show."""
    if value is None or isinstance(value, bool | int | float):
        return value
    size = len(str(value))
    return value if size <= _LONGEST else f"({type(value).__name__}, {size} characters)"
