"""The answers of a booted app as typed values: how it fails, what its headers say, what stopped its loop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastness.tool.boot.app import JSON, BootedRoute, Place, Reader, text


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: 0 when there was none.
        headers: in order, names in lower case.
        body: as text, its beginning.
        read: bytes of the request that the app took.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    error: str | None = None
    read: int = 0

    def header(self, name: str) -> str | None:
        """The first header of a name, None when there is none."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def reached(self) -> bool:
        """It comes from the route that was asked, not from what stands before it."""
        return self.header("x-fastness-reached") is not None

    @property
    def media_type(self) -> str:
        """What it says it is, without parameters; empty when it says nothing."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def members(self) -> frozenset[str] | None:
        """The names in the object that the body is; None when it is no JSON object."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return frozenset(document) if isinstance(document, dict) else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One call on a stack.

    Attributes:
        place: None when it is a library's.
    """

    place: Place | None
    name: str


@dataclass(frozen=True, slots=True)
class Called:
    """One operation of the project, called twice. What is told is of the second call.

    Attributes:
        stall: seconds for which it kept the loop from everything else, both times; 0 when it did not.
        stack: what ran then, outermost first.
    """

    route: BootedRoute
    answer: Answer
    seconds: float
    stall: float
    stack: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Probed:
    """What a booted app answered.

    Attributes:
        host: the name that it answered to; None when it answered to none, and nothing else is known.
        lifespan: whether its start-up ran; `lifespan_error` says why not.
        answers: by what was asked: `fine`, `missing` (404), `method` (405), `invalid` (422), `failed` (500), `oversized` and
            `unannounced` (a body of 48 MiB, with and without its length), `origin`, `failed_origin`, `preflight`,
            `correlated`, `correlated_failure`.
        canary: what the exception behind `failed`, and the password in `invalid`, said.
        origin: of the page behind `origin` and `preflight`.
    """

    host: str | None
    lifespan: bool
    lifespan_error: str | None
    answers: Mapping[str, Answer]
    called: tuple[Called, ...]
    canary: str
    origin: str

    def answer(self, name: str, *statuses: int) -> Answer | None:
        """An answer, when its status is one of these. Any other is another layer's, and says nothing about what was asked."""
        found = self.answers.get(name)
        return found if found is not None and found.status in statuses else None


def read(document: JSON, routes: tuple[BootedRoute, ...], reader: Reader) -> Probed:
    """The answers in a document. Raises KeyError, TypeError, ValueError or IndexError when it is of another form."""
    lifespan = document["lifespan"]
    return Probed(
        host=text(document["host"]),
        lifespan=lifespan is not None and lifespan["error"] is None,
        lifespan_error=None if lifespan is None else text(lifespan["error"]),
        answers={str(name): _answer(one) for name, one in document["answers"].items()},
        called=tuple(_called(one, routes, reader) for one in document["requests"]),
        canary=str(document["canary"]),
        origin=str(document["origin"]),
    )


def _answer(one: JSON) -> Answer:
    headers = tuple((str(name), str(value)) for name, value in one["headers"])
    return Answer(int(one["status"]), headers, str(one["body"]), text(one["error"]), int(one["read"]))


def _called(one: JSON, routes: tuple[BootedRoute, ...], reader: Reader) -> Called:
    stall: dict[str, Any] = one["stall"] or {"seconds": 0, "stack": []}
    stack = tuple(Frame(reader.place(file, line), str(name)) for file, line, name in stall["stack"])
    return Called(routes[int(one["route"])], _answer(one), float(one["seconds"]), float(stall["seconds"]), stack)
