"""Parameters in path, query, header and cookie: presence, how they are written, and their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastness.tool.contract.areas import lifecycle, schemas
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Contract, Parameter
from fastness.tool.contract.references import follow

_PARTS = {"query": "query", "querystring": "query", "header": "headers", "cookie": "cookies", "path": "path"}


def compare(context: Context, pair: Pair) -> None:
    """Compare the parameters of an operation."""
    old, new = pair.old.parameters, pair.new.parameters
    if not pair.calls_client:
        required = {}
        for identity, parameter in new.items():
            if identity not in old and parameter.required and parameter.where != "path":
                required[parameter.name] = parameter
        for parameter in required.values():
            _required(context, pair, None, parameter, f"{parameter.where} parameter {parameter.name} is new and required")
    for identity, parameter in new.items():
        if identity not in old and (not parameter.required or pair.calls_client):
            context.add(
                "request.parameter.added",
                Level.INFO,
                f"{parameter.where} parameter {parameter.name} is new",
                operation=pair.old,
                places=(pair.old.pointer, parameter.pointer),
            )
    for identity, parameter in old.items():
        if identity in new:
            _both(context, pair, parameter, new[identity])
        elif parameter.where != "path":
            _removed(context, pair, parameter)


def _removed(context: Context, pair: Pair, parameter: Parameter) -> None:
    early = lifecycle.promised(context, parameter.marks)
    try:
        value = context.engine.example(context.old_schema(parameter.schema, pair.request))
    except LookupError:
        value = "value"
    context.add(
        "request.parameter.removed",
        Level.BREAKING if early else Level.INFO if lifecycle.over(context, parameter.marks) else Level.WARNING,
        f"{parameter.where} parameter {parameter.name} is gone, {lifecycle.circumstances(context, parameter.marks)}: "
        "the server may ignore it",
        operation=pair.old,
        places=(parameter.pointer, pair.new.pointer),
        counterexample={
            "request": context.request(pair, **with_value(parameter, value)),
            "works_until": {"old": str(parameter.marks.sunset), "new": None},
        }
        if early
        else None,
    )


def _both(context: Context, pair: Pair, old: Parameter, new: Parameter) -> None:
    subject, places = f"{new.where} parameter {new.name}", (old.pointer, new.pointer)
    lifecycle.compare_marks(context, pair, old.marks, new.marks, places=places, part=subject)
    if old.required and not new.required:
        context.add(
            "request.parameter.optional",
            Level.INFO,
            f"{subject} may be left out now",
            operation=pair.old,
            places=places,
        )
    elif new.required and not old.required and not pair.calls_client:
        _required(context, pair, old, new, f"{subject} is required now")
    if (old.media is None) != (new.media is None) or (old.media or "").lower() != (new.media or "").lower():
        _written(
            context, pair, old, new, f"{subject} was written as {old.media or 'text'} and is written as {new.media or 'text'}"
        )
        return
    forms = _wire_form(context.old, old), _wire_form(context.new, new)
    if all(forms) and forms[0] != forms[1]:
        _written(
            context,
            pair,
            old,
            new,
            f"{subject} was written with style {old.style}, explode {old.explode}, and is with {new.style}, {new.explode}",
        )
    if old.default != new.default and not old.required:
        context.add(
            "request.default.changed",
            Level.WARNING,
            f"{subject}: the default was {old.default!r} and is {new.default!r}: requests without it mean something else",
            operation=pair.old,
            places=places,
            old=old.default,
            new=new.default,
        )
    schemas.compare(
        context,
        pair,
        pair.request,
        word="request",
        subject=subject,
        old=old.schema,
        new=new.schema,
        pointers=places,
        example=lambda value: {"request": context.request(pair, **with_value(old, value))},
        text=old.media is None,
    )


def with_value(parameter: Parameter, value: Any) -> dict[str, Any]:
    """What `Context.request` replaces for a parameter to have a value."""
    return {_PARTS[parameter.where]: {parameter.name: value}}


def _required(context: Context, pair: Pair, old: Parameter | None, parameter: Parameter, message: str) -> None:
    request = context.request(pair)
    context.add(
        "request.parameter.required",
        Level.BREAKING,
        message,
        operation=pair.old,
        places=(pair.old.pointer if old is None else old.pointer, parameter.pointer),
        counterexample={"request": request},
        new={"name": parameter.name, "in": parameter.where},
    )


def _written(context: Context, pair: Pair, old: Parameter, new: Parameter, message: str) -> None:
    try:
        sample = context.engine.example(context.old_schema(old.schema, pair.request))
    except LookupError:
        sample = "value"
    context.add(
        "request.encoding.changed",
        Level.BREAKING,
        message,
        operation=pair.old,
        places=(old.pointer, new.pointer),
        counterexample={"request": context.request(pair, **with_value(old, sample))},
        old={"style": old.style, "explode": old.explode},
        new={"style": new.style, "explode": new.explode},
    )


def _wire_form(contract: Contract, parameter: Parameter) -> tuple[Any, ...]:
    """What decides how a value is written. For one that is neither list nor object, explode changes nothing."""
    if _compound(contract, parameter.schema):
        return (parameter.style, parameter.explode)
    return (parameter.style,) if parameter.where == "path" else ()


def _compound(contract: Contract, raw: Any, depth: int = 0) -> bool:
    raw = follow(contract.raw, raw)
    if not isinstance(raw, Mapping) or depth > 8:
        return False
    kinds = raw.get("type")
    if {"array", "object"} & set(kinds if isinstance(kinds, list) else [kinds]):
        return True
    members = [member for name in ("anyOf", "oneOf", "allOf") for member in raw.get(name) or ()]
    return any(_compound(contract, member, depth + 1) for member in members)
