"""What OpenAPI says of answers beyond their schema."""

from typing import Any

from fastness.openapi import problem_response

from app.api.problems import PROBLEMS

_HEADERS = {
    "ETag": {"description": "The version; send it as `If-Match` with a change.", "schema": {"type": "string"}},
    "Location": {"description": "Where it can be read.", "schema": {"type": "string", "format": "uri-reference"}},
}


def answers(status: int, *headers: str, errors: tuple[type[Exception], ...] = ()) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an operation: headers of its good answer, and the business errors that it knows."""
    described: dict[int | str, dict[str, Any]] = {status: {"headers": {name: _HEADERS[name] for name in headers}}}
    for error in errors:
        kind = PROBLEMS[error]
        described[kind.status] = problem_response(kind)
    return described
