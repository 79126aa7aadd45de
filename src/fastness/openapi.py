"""The OpenAPI document as the service really answers: problem documents and what the guards of each route say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from fastness.problems import MEDIA_TYPE, VALIDATION, ProblemType, plain

_PROBLEM_REF = "#/components/schemas/Problem"
_RETRY_AFTER: dict[str, Any] = {
    "description": "Seconds to wait before the next request.",
    "schema": {"type": "integer", "minimum": 0},
}
_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "A problem document (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "Quote it when you report the problem."},
    },
}
_VALIDATION_SCHEMA: dict[str, Any] = {
    "title": "ValidationProblem",
    "description": "A problem document (RFC 9457) that says which parts of the request are not valid.",
    "allOf": [
        {"$ref": _PROBLEM_REF},
        {
            "type": "object",
            "required": ["errors"],
            "properties": {
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["location", "pointer", "type", "message"],
                        "properties": {
                            "location": {"type": "string", "examples": ["body", "query", "path", "header"]},
                            "pointer": {"type": "string", "description": "JSON Pointer (RFC 6901) within the location."},
                            "type": {"type": "string"},
                            "message": {"type": "string"},
                        },
                    },
                },
                "omitted": {"type": "integer", "description": "Number of further errors, when there are too many."},
            },
        },
    ],
}


@runtime_checkable
class Documented(Protocol):
    """A dependency that describes itself in the operations that depend on it."""

    def document_operation(self, operation: dict[str, Any]) -> None:
        """Add to the OpenAPI operation what this dependency makes of it: responses, headers, marks."""


def document(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """A replacement for `app.openapi`: `app.openapi = openapi.document(app)`.

    FastAPI's 422 schema becomes the problem that is really sent, every operation declares a problem as its default
    response, and guards (anything `Documented` in the dependency tree) add what they do.
    """
    generate = app.openapi
    documented: dict[str, Any] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal documented
        schema = generate()
        # FastAPI makes a new document when routes were added, and hands out the old one otherwise.
        if schema is not documented:
            _document(app, schema)
            documented = schema
        return schema

    return openapi


def problem_response(*types: ProblemType) -> dict[str, Any]:
    """An OpenAPI response object for problem types that share a status."""
    content: dict[str, Any] = {"schema": {"$ref": _PROBLEM_REF}}
    examples = {
        kind.title: {"value": {"type": kind.uri, "title": kind.title, "status": kind.status}}
        for kind in types
        if kind.uri != "about:blank"
    }
    if examples:
        content["examples"] = examples
    response: dict[str, Any] = {
        "description": "\n".join(kind.description or kind.title for kind in types),
        # The same document with the plain type is for a client that accepts nothing else.
        "content": {MEDIA_TYPE: content, "application/json": content},
    }
    if any(kind.retry_after is not None for kind in types):
        response["headers"] = {"Retry-After": _RETRY_AFTER}
    return response


def add_problem(operation: dict[str, Any], *types: ProblemType) -> None:
    """Add `types` to the responses of an operation; where the app has declared a status in its own words, those stand."""
    responses = operation.setdefault("responses", {})
    for kind in types:
        status = str(kind.status)
        present = responses.get(status)
        if present is None:
            responses[status] = problem_response(kind)
        elif present.get("content", {}).get(MEDIA_TYPE, {}).get("schema", {}).get("$ref") == _PROBLEM_REF:
            added = problem_response(kind)
            if added["description"] not in present["description"].split("\n"):
                present["description"] += "\n" + added["description"]
            examples = added["content"][MEDIA_TYPE].get("examples", {})
            present["content"][MEDIA_TYPE].setdefault("examples", {}).update(examples)
            if "headers" in added:
                present["headers"] = {**added["headers"], **present.get("headers", {})}


def _document(app: FastAPI, schema: dict[str, Any]) -> None:
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        if dependant is None or not getattr(context, "include_in_schema", True):
            continue
        for method in context.methods or ():
            operation = schema.get("paths", {}).get(context.path_format, {}).get(method.lower())
            if operation is not None:
                _document_operation(operation, dependant)
    schemas["Problem"] = _PROBLEM_SCHEMA
    schemas["ValidationProblem"] = _VALIDATION_SCHEMA
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)


def _document_operation(operation: dict[str, Any], dependant: Dependant) -> None:
    responses = operation.setdefault("responses", {})
    validation = responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if validation.get("$ref", "").endswith("/HTTPValidationError"):
        ref = {"schema": {"$ref": "#/components/schemas/ValidationProblem"}}
        responses["422"] = {"description": VALIDATION.title, "content": {MEDIA_TYPE: ref, "application/json": ref}}
    for call in _calls(dependant):
        if isinstance(call, Documented):
            call.document_operation(operation)
    responses.setdefault("default", {**problem_response(plain(500)), "description": "Any other problem."})


def _calls(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)
