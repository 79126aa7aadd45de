"""Responses: statuses, media types, and what may reach a client in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastness.tool.contract.areas import headers, schemas
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.dialect import Direction
from fastness.tool.contract.model import Media, Operation, Response, in_range


def compare(context: Context, pair: Pair) -> None:
    """Compare the responses of an operation."""
    old, new = pair.old.responses, pair.new.responses
    lost = [status for status in old if _succeeds(status) and not _kept(pair.new, status)]
    came = [status for status in new if _succeeds(status) and _match(pair.old, status) is None]
    kept = [status for status in old if _succeeds(status) and status not in lost]
    for status in lost:
        breaks = not kept
        instead = f"; {', '.join(came)} instead" if came else ""
        sample = _sample(context, new[came[0]]) if came else {"status": "any other", "body": None}
        context.add(
            "response.status.removed",
            Level.BREAKING if breaks else Level.WARNING,
            f"status {status} is not answered any more{instead}",
            operation=pair.old,
            places=(old[status].pointer, pair.new.pointer),
            counterexample={"response": sample} if breaks else None,
            old=sorted(old),
            new=sorted(new),
        )
    for status, response in new.items():
        if _match(pair.old, status) is None:
            context.add(
                "response.status.added",
                Level.WARNING if _succeeds(status) else Level.INFO,
                f"status {status} is new",
                operation=pair.old,
                places=(pair.old.pointer, response.pointer),
                old=sorted(old),
                new=sorted(new),
            )
    for status, response in old.items():
        if status not in new and not _succeeds(status):
            context.add(
                "response.status.removed",
                Level.INFO,
                f"status {status} is not documented any more",
                operation=pair.old,
                places=(response.pointer, pair.new.pointer),
            )
    for before, after in _meetings(pair):
        _both(context, pair, before, after)


def _meetings(pair: Pair) -> Iterator[tuple[Response, Response]]:
    """What spoke of a status and what speaks of it now: itself, a range that it came out of, or one that it went into."""
    for status, response in pair.new.responses.items():
        before = _match(pair.old, status)
        if before is not None:
            yield before, response
    for status, response in pair.old.responses.items():
        after = None if status in pair.new.responses else _match(pair.new, status)
        if after is not None:
            yield response, after


def _both(context: Context, pair: Pair, old: Response, new: Response) -> None:
    headers.compare(context, pair, old, new)
    for name, media in old.content.items():
        # A client that takes any of a range gets along with each type in it.
        inside = [name] if name in new.content else [other for other in new.content if in_range(other, name)]
        for other in inside:
            if other == name or other not in old.content:
                _content(context, pair, new.status, media, new.content[other])
        if not inside:
            instead = next(iter(new.content.values()), None)
            context.add(
                "response.media-type.removed",
                Level.BREAKING,
                f"{new.status}: {media.type} is not answered any more",
                operation=pair.old,
                places=(media.pointer, new.pointer),
                counterexample={
                    "response": {
                        "status": new.status,
                        "content_type": None if instead is None else instead.type,
                        "body": None if instead is None else _value(context, instead),
                    }
                },
                old=list(old.content),
                new=list(new.content),
            )
    for name, media in new.content.items():
        if name not in old.content and not any(in_range(name, wide) for wide in old.content):
            context.add(
                "response.media-type.added",
                Level.INFO,
                f"{new.status}: may be {media.type} too",
                operation=pair.old,
                places=(old.pointer, media.pointer),
            )


def _content(context: Context, pair: Pair, status: str, old: Media, new: Media) -> None:
    def compare(subject: str, schema: tuple[Any, Any], pointers: tuple[str, str], body: Callable[[Any], Any]) -> None:
        schemas.compare(
            context,
            pair,
            pair.response,
            word="response",
            subject=subject,
            old=schema[0],
            new=schema[1],
            pointers=pointers,
            example=lambda value: {"response": {"status": status, "content_type": new.type, "body": body(value)}},
        )

    compare(f"the {status} body", (old.schema, new.schema), (old.pointer, new.pointer), lambda value: value)
    compare(f"an item of the {status} body", (old.item, new.item), (old.item_pointer, new.item_pointer), lambda value: [value])


def _match(operation: Operation, status: str) -> Response | None:
    """The response that speaks of a status: its own, its range, or the default, which is for errors where success is told."""
    responses = operation.responses
    found = responses.get(status) or responses.get(f"{status[0]}XX")
    if found is None and (not _succeeds(status) or not any(map(_succeeds, responses))):
        return responses.get("default")
    return found


def _kept(operation: Operation, status: str) -> bool:
    """Whether an operation still answers with a status, or with one of a range."""
    inside = status.endswith("XX") and any(other[0] == status[0] for other in operation.responses)
    return inside or _match(operation, status) is not None


def _succeeds(status: str) -> bool:
    return status[0] in "23"


def _sample(context: Context, response: Response) -> dict[str, Any]:
    media = next(iter(response.content.values()), None)
    return {
        "status": response.status,
        "content_type": None if media is None else media.type,
        "body": None if media is None else _value(context, media),
    }


def _value(context: Context, media: Media) -> Any:
    try:
        if media.item is not True:
            return [context.engine.example(context.new_schema(media.item, Direction.RESPONSE))]
        return context.engine.example(context.new_schema(media.schema, Direction.RESPONSE))
    except LookupError:
        return None
