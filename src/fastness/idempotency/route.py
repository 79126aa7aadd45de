"""The route class that has the last word: it sees the answer after it is serialised and before it is sent.

What a request with a key needs before its handler belongs to `guard`, which leaves it in the request's scope.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from fastness.idempotency.answer import Answer
from fastness.idempotency.execution import Execution
from fastness.idempotency.outcome import Outcomes

SLOT = "fastness.idempotency"
"""Scope key of the request's `Slot`."""


class Place:
    """One place of a route in the app.

    Attributes:
        template: its path with the prefixes of the routers around it, as it was declared.
        outcomes: of its requests.
    """

    __slots__ = ("outcomes", "template")

    def __init__(self, template: str) -> None:
        self.template = template
        self.outcomes = Outcomes(template)


class Slot:
    """What the route class of a request offers its guard.

    Attributes:
        place: where the request was routed.
        taken: a guard has looked at the request.
        execution: carries out the request; None until its guard says how.
        check: raises when the answer must not be stored under the caller that the guard saw.
    """

    __slots__ = ("check", "execution", "place", "taken")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.taken = False
        self.execution: Execution | None = None
        self.check: Callable[[], None] | None = None


class Replay(HTTPException):
    """A guard found the answer. An HTTPException only so that traces do not take it for a failure; it leaves no route."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class IdempotentRoute(APIRoute):
    """What `Idempotent` needs around the endpoint: `APIRouter(route_class=IdempotentRoute)`. Others stay as they are.

    It is FastAPI's own otherwise. For another route class of yours, derive it from this one.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with the transaction or the lease around it."""
        handle = super().get_route_handler()
        place: Place | None = None

        async def handle_once(request: Request) -> Response:
            nonlocal place
            if place is None:
                place = Place(_template(self, request))
            slot = request.scope[SLOT] = Slot(place)
            try:
                response = await handle(request)
                if slot.execution is None:
                    return response
                if slot.check is not None:
                    slot.check()
            except Replay as replay:
                if slot.execution is not None:
                    await slot.execution.leave()
                return replay.answer.replay()
            except BaseException as error:
                if slot.execution is not None:
                    await slot.execution.fail(error)
                raise
            return await slot.execution.settle(response)

        return handle_once


def _template(route: APIRoute, request: Request) -> str:
    # `route.path` lacks the prefixes. A router that is included twice has one handler for each inclusion.
    for context in iter_route_contexts(request.app.routes):
        if context.original_route is route and context.matches(request.scope)[0] is Match.FULL:
            return context.path_format or route.path_format
    return route.path_format  # of a router that is mounted as an app
