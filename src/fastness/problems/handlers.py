"""Exceptions become problem responses: FastAPI's own, declared domain exceptions, and unhandled errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from fastness._asgi import ASGIApp, Exchange, Layer
from fastness.problems.types import Problem, ProblemType, plain

logger = logging.getLogger("fastness.problems")

MEDIA_TYPE = "application/problem+json"
VALIDATION = ProblemType(
    "urn:problem-type:fastness:validation",
    "The request is not valid",
    422,
    "A parameter or the body does not fit the schema; `errors` says where and why.",
)
MEDIA_TYPE_UNSUPPORTED = ProblemType(
    "urn:problem-type:fastness:media-type-unsupported",
    "The media type is not supported",
    415,
    "The body is taken as `application/json` (or another `+json` type) only; set Content-Type.",
)
INTERNAL = ProblemType(
    "about:blank",
    "Internal Server Error",
    500,
    "Something failed on our side; quote the request id when you report it.",
)

# What FastAPI says of every body that Python cannot read, and what it is by what Python raises.
_UNREADABLE = "There was an error parsing the body"
_WHY_UNREADABLE: dict[type, str] = {
    UnicodeDecodeError: "The body is not valid UTF-8.",
    RecursionError: "The body is nested too deep.",
    ValueError: "The body has a number of too many digits.",  # subclasses are something else
}

# Bounds on what one bad request can make us write.
_MAX_ERRORS = 50
_MAX_NAME = 100

Handler = Callable[[Request, Any], Response]


def respond(problem: Problem, accept: bytes | str | None = None) -> Response:
    """The response for `problem`: `application/problem+json`, or plain JSON where the client takes only that."""
    text = accept.decode("latin-1") if isinstance(accept, bytes) else accept
    media_type = _media_type(text) if text else MEDIA_TYPE
    return Response(problem.body(), status_code=problem.kind.status, headers=problem.headers, media_type=media_type)


def _media_type(accept: str) -> str:
    # Anything unknown gets problem+json: RFC 9110 (12.5.1) lets a server disregard Accept, and an error that says what
    # is wrong is of more use than a 406.
    offered = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "application/json" if "application/json" in offered and not offered & {MEDIA_TYPE, "*/*"} else MEDIA_TYPE


def handlers(
    errors: Mapping[type[Exception], int | ProblemType] | None = None,
) -> dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]:
    """Exception handlers for `FastAPI(exception_handlers=...)`: one envelope for everything that is not 2xx.

    Args:
        errors: domain exceptions and the status or problem type each becomes; a subclass is covered by its nearest
            base. The text of the exception becomes `detail`, except for 5xx, so it must be fit for a client to read. An
            attribute `extensions` (a mapping) is added to the document. A type's `retry_after` becomes `Retry-After`.

    Raises:
        ValueError: a declared status is not an error status.
    """
    table: dict[int | type[Exception], Handler] = {
        HTTPException: _http_exception,
        RequestValidationError: _validation_error,
        Problem: _problem,
        # Runs outside of all middleware, so it is only for errors that they raise themselves.
        Exception: _unhandled,
    }
    for error, kind in (errors or {}).items():
        table[error] = _domain_error(plain(kind) if isinstance(kind, int) else kind)
    # Starlette compares handlers by identity of coroutine functions: sync ones would go to a thread each.
    return {key: _on_loop(handler) for key, handler in table.items()}


def _on_loop(handler: Handler) -> Any:
    async def handle(request: Request, exc: Any) -> Response:
        return handler(request, exc)

    return handle


def _respond_to(request: Request, problem: Problem) -> Response:
    return respond(problem, request.headers.get("accept"))


def _problem(request: Request, exc: Problem) -> Response:
    if exc.kind.status >= 500:
        logger.error("problem %s", exc.kind.uri, exc_info=exc)
    return _respond_to(request, exc)


def _http_exception(request: Request, exc: HTTPException) -> Response:
    if exc.status_code < 400:
        # Not an error: a redirect or 304 raised to leave early.
        return Response(status_code=exc.status_code, headers=exc.headers)
    kind = plain(exc.status_code)
    headers = _allowing(request, exc.headers) if exc.status_code == 405 else exc.headers
    detail: Any = exc.detail  # FastAPI's own HTTPException takes any JSON value
    if detail == _UNREADABLE:
        detail = _WHY_UNREADABLE.get(type(exc.__cause__), detail)
    if isinstance(detail, str) or detail is None:
        # Starlette fills in the phrase of the status where nothing was said; that is the title already.
        problem = Problem(kind, None if detail == kind.title else detail, headers=headers)
    else:
        problem = Problem(kind, headers=headers, errors=detail)
    return _respond_to(request, problem)


def _allowing(request: Request, headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """`headers` with `Allow` naming every method of the path (RFC 9110, 15.5.6); the router names those of one route."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if not route.methods:
            continue  # a mount or a WebSocket
        match, _ = route.matches(request.scope)
        if match is Match.FULL:
            return headers  # an endpoint was called and refuses by itself
        if match is Match.PARTIAL:
            methods |= route.methods
    if not methods:
        return headers
    others = {name: value for name, value in (headers or {}).items() if name.lower() != "allow"}
    return {**others, "Allow": ", ".join(sorted(methods))}


def _domain_error(kind: ProblemType) -> Handler:
    def handle(request: Request, exc: Exception) -> Response:
        extensions = getattr(exc, "extensions", None) or {}
        if kind.status >= 500:
            # What will be over soon, as a database that is away, every request meets until then: a line, and not a traceback.
            why, trace = str(exc).partition("\n")[0], exc if kind.retry_after is None else None
            logger.error("domain error %s: %s", type(exc).__name__, why, exc_info=trace)
            return _respond_to(request, Problem(kind, **extensions))
        return _respond_to(request, Problem(kind, str(exc) or None, **extensions))

    return handle


def _unhandled(request: Request, exc: Exception) -> Response:
    return _respond_to(request, internal_error(exc))


def internal_error(exc: BaseException) -> Problem:
    """Log `exc`, record it on the current span, and give the problem that says nothing of it."""
    logger.error("unhandled error: %s", type(exc).__name__, exc_info=exc)
    span = trace.get_current_span()
    if span.is_recording():
        span.record_exception(exc)
    return Problem(INTERNAL)


def _validation_error(request: Request, exc: RequestValidationError) -> Response:
    found = exc.errors()
    # FastAPI validates the raw bytes when Content-Type does not say JSON, which tells the client nothing of the cause.
    if isinstance(exc.body, bytes) and any(error["loc"][:1] == ("body",) for error in found):
        return _respond_to(request, Problem(MEDIA_TYPE_UNSUPPORTED, headers={"Accept": "application/json"}))
    problem = Problem(VALIDATION, errors=list(validation_errors(found)))
    if len(found) > _MAX_ERRORS:
        problem.extensions["omitted"] = len(found) - _MAX_ERRORS
    return _respond_to(request, problem)


def validation_errors(errors: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Pydantic's errors as clients may see them: where, which kind, why; never `input`, nor text that quotes it."""
    for count, error in enumerate(errors):
        if count == _MAX_ERRORS:
            return
        location, *path = error["loc"] or ("body",)
        kind = error["type"]
        message = _QUOTING.get(kind) or error["msg"]
        if error["msg"] == _NO_JSON and len(path) == 1 and isinstance(path[0], int):
            message, path = f"{message} at character {path[0] + 1}", []
        yield {
            "location": str(location)[:_MAX_NAME],
            "pointer": "".join(f"/{str(step)[:_MAX_NAME].replace('~', '~0').replace('/', '~1')}" for step in path),
            "type": kind,
            "message": message,
        }


# FastAPI's own message, for a body that is no JSON; it gives the position as the place.
_NO_JSON = "JSON decode error"
# Pydantic's messages that quote what the client sent.
_QUOTING = {
    "union_tag_invalid": "Input tag does not match any of the expected tags",
    "json_invalid": "Invalid JSON",
    "url_parsing": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
}


class ProblemMiddleware(Layer):
    """Catches what the app did not: an unhandled error becomes a 500 that says nothing of it.

    Put it innermost, so that the 500 passes through every other layer and keeps its request id, CORS and security
    headers. Once a response has started, the error is raised again: the server then drops the connection, so that a
    client never takes a cut-off body for a whole one.
    """

    def recover(self, exchange: Exchange, error: BaseException) -> ASGIApp | None:
        if not isinstance(error, Exception):
            return None
        return respond(internal_error(error), exchange.headers.get(b"accept"))
