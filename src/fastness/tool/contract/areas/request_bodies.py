"""Request bodies: whether there is one, its media types, and what each may hold."""

from __future__ import annotations

from typing import Any

from fastness.tool.contract.areas import schemas
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.dialect import Direction
from fastness.tool.contract.model import Body, Contract, Media, in_range, media_type
from fastness.tool.contract.places import Place
from fastness.tool.contract.references import follow

_OCTETS = "application/octet-stream"
_DEEPEST = 8


def compare(context: Context, pair: Pair) -> None:
    """Compare the request bodies of an operation."""
    old, new = pair.old.body, pair.new.body
    if old is None and new is None:
        return
    if new is None:
        _removed(context, pair, old)
    elif old is None:
        _added(context, pair, new)
    else:
        _both(context, pair, old, new)


def _removed(context: Context, pair: Pair, old: Body | None) -> None:
    if old is None or not old.content:
        return
    media = next(iter(old.content.values()))
    context.add(
        "request.body.removed",
        Level.BREAKING,
        "the request body is gone",
        operation=pair.old,
        places=(old.pointer, pair.new.pointer),
        counterexample={"request": _with_body(context, pair, media)},
    )


def _added(context: Context, pair: Pair, new: Body) -> None:
    required = new.required and not pair.calls_client
    context.add(
        "request.body.required" if required else "request.body.added",
        Level.BREAKING if required else Level.INFO,
        f"a request body is {'required now' if required else 'taken now'}",
        operation=pair.old,
        places=(pair.old.pointer, new.pointer),
        counterexample={"request": context.request(pair)} if required else None,
    )


def _both(context: Context, pair: Pair, old: Body, new: Body) -> None:
    if new.required and not old.required and not pair.calls_client:
        context.add(
            "request.body.required",
            Level.BREAKING,
            "the request body is required now",
            operation=pair.old,
            places=(old.pointer, new.pointer),
            counterexample={"request": context.request(pair)},
        )
    elif old.required and not new.required:
        context.add(
            "request.body.optional",
            Level.BREAKING if pair.calls_client else Level.INFO,
            "the request body may be left out now",
            operation=pair.old,
            places=(old.pointer, new.pointer),
            counterexample={"request": {"method": pair.old.method.upper(), "path": pair.old.path}}
            if pair.calls_client
            else None,
        )
    for name, media in old.content.items():
        found = new.content.get(name) or next((wide for key, wide in new.content.items() if in_range(name, key)), None)
        if found is None:
            context.add(
                "request.media-type.removed",
                Level.BREAKING,
                f"{media.type} bodies are no longer taken",
                operation=pair.old,
                places=(media.pointer, new.pointer),
                counterexample={"request": _with_body(context, pair, media)},
                old=list(old.content),
                new=list(new.content),
            )
        else:
            _content(context, pair, media, found)
    for name, media in new.content.items():
        if name not in old.content:
            context.add(
                "request.media-type.added",
                Level.INFO,
                f"{media.type} bodies are taken now",
                operation=pair.old,
                places=(old.pointer, media.pointer),
            )


def _content(context: Context, pair: Pair, old: Media, new: Media) -> None:
    schemas.compare(
        context,
        pair,
        pair.request,
        word="request",
        subject="the body",
        old=old.schema,
        new=new.schema,
        pointers=(old.pointer, new.pointer),
        example=lambda value: {"request": context.request(pair, body=value, content_type=old.type)},
        text=_is_form(old) and _is_form(new),
    )
    schemas.compare(
        context,
        pair,
        pair.request,
        word="request",
        subject="an item of the body",
        old=old.item,
        new=new.item,
        pointers=(old.item_pointer, new.item_pointer),
        example=lambda value: {"request": context.request(pair, body=[value], content_type=old.type)},
    )
    if not (_is_form(old) and _is_form(new)):
        return
    one = context.old_places.below(Place(old.schema, old.pointer))
    other = context.new_places.below(Place(new.schema, new.pointer))
    for name in (name for name in one if name in other):
        encoding, after = old.encoding.get(name, {}), new.encoding.get(name, {})
        written = _written(context.old, encoding, one[name].raw), _written(context.new, after, other[name].raw)
        if name not in old.encoding and name not in new.encoding and _OCTETS not in (written[0][0], written[1][0]):
            continue  # text is text, and what it says is for the schemas
        sent, taken = reversed(written) if pair.calls_client else written
        if sent[1:] != taken[1:] or not _all_taken(sent[0], taken[0]):
            context.add(
                "request.encoding.changed",
                Level.BREAKING,
                f"the body at {name} was written as {_words(written[0])} and is written as {_words(written[1])}",
                operation=pair.old,
                places=(old.pointer, new.pointer),
                counterexample={"request": _with_body(context, pair, old)},
                old=encoding,
                new=after,
            )


def _words(written: tuple[str, str, bool]) -> str:
    media, style, explode = written
    return media if (style, explode) == ("form", True) else f"{media} with style {style}, explode {explode}"


def _all_taken(sent: str, taken: str) -> bool:
    """Whether each media type of a list, or range, is in another."""
    one, other = ([media_type(name.strip()) for name in listed.split(",")] for listed in (sent, taken))
    return all(name in other or any(in_range(name, wide) for wide in other) for name in one)


def _is_form(media: Media) -> bool:
    return media_type(media.type).partition(";")[0] in ("application/x-www-form-urlencoded", "multipart/form-data")


def _written(contract: Contract, encoding: Any, raw: Any) -> tuple[str, str, bool]:
    """How a field of a form is written: as the Encoding Object says, or as OpenAPI does for its type."""
    encoding = encoding if isinstance(encoding, dict) else {}
    schema = follow(contract.raw, raw)
    schema = schema if isinstance(schema, dict) else {}
    kind = schema.get("type")
    default = "application/json" if kind == "object" else _OCTETS if _binary(contract, schema) else "text/plain"
    style = str(encoding.get("style", "form"))
    return str(encoding.get("contentType", default)), style, bool(encoding.get("explode", style == "form"))


def _binary(contract: Contract, raw: Any, depth: int = 0) -> bool:
    """Whether a field is a file, a list of files, or a file that may be left out."""
    schema = follow(contract.raw, raw)
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return False
    members = [member for name in ("anyOf", "oneOf", "allOf") for member in schema.get(name) or ()]
    return (
        schema.get("format") == "binary"
        or schema.get("contentMediaType") == _OCTETS
        or any(_binary(contract, member, depth + 1) for member in [*members, schema.get("items")])
    )


def _with_body(context: Context, pair: Pair, media: Media) -> dict[str, Any]:
    try:
        value = context.engine.example(context.old_schema(media.schema, Direction.REQUEST))
    except LookupError:
        return context.request(pair, content_type=media.type)
    return context.request(pair, body=value, content_type=media.type)
