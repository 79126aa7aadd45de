"""Responses: statuses, media types, and what may reach a client in each."""

from __future__ import annotations

from typing import Any

from fastness.tool.contract.areas import headers, schemas
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.dialect import Direction
from fastness.tool.contract.model import Media, Operation, Response


def compare(context: Context, pair: Pair) -> None:
    """Compare the responses of an operation."""
    old, new = pair.old.responses, pair.new.responses
    lost = [status for status in old if _succeeds(status) and _match(pair.new, status) is None]
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
        found = new.get(status)
        if found is not None:
            _both(context, pair, response, found)
        elif not _succeeds(status):
            context.add(
                "response.status.removed",
                Level.INFO,
                f"status {status} is not documented any more",
                operation=pair.old,
                places=(response.pointer, pair.new.pointer),
            )
    for status, response in new.items():
        before = _match(pair.old, status)
        if status not in old and before is not None:
            _both(context, pair, before, response)


def _both(context: Context, pair: Pair, old: Response, new: Response) -> None:
    headers.compare(context, pair, old, new)
    for name, media in old.content.items():
        found = new.content.get(name)
        if found is None:
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
        else:
            _content(context, pair, new.status, media, found)
    for name, media in new.content.items():
        if name not in old.content:
            context.add(
                "response.media-type.added",
                Level.INFO,
                f"{new.status}: may be {media.type} too",
                operation=pair.old,
                places=(old.pointer, media.pointer),
            )


def _content(context: Context, pair: Pair, status: str, old: Media, new: Media) -> None:
    schemas.compare(
        context,
        pair,
        pair.response,
        word="response",
        subject=f"the {status} body",
        old=old.schema,
        new=new.schema,
        pointers=(old.pointer, new.pointer),
        example=lambda value: {"response": {"status": status, "content_type": new.type, "body": value}},
    )


def _match(operation: Operation, status: str) -> Response | None:
    """The response that speaks of a status: its own, its range, or the default."""
    found = operation.responses.get(status) or operation.responses.get(f"{status[0]}XX")
    if found is None and not _succeeds(status):
        return operation.responses.get("default")
    return found


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
        return context.engine.example(context.new_schema(media.schema, Direction.RESPONSE))
    except LookupError:
        return None
