"""Lifecycle: deprecation, sunset and stability, and whether clients got the notice that they were promised.

`deprecated` is OpenAPI's; `x-sunset` is the date from which an operation, parameter or property may be gone (RFC 8594),
`x-stability-level` one of draft, alpha, beta and stable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Marks, Operation
from fastness.tool.contract.settings import STABILITIES


def removed(context: Context, operation: Operation, places: tuple[str, str]) -> None:
    """An operation is gone: after its sunset that is what was announced, before it a promise is broken."""
    undated = operation.marks.deprecated and operation.marks.sunset is None
    ended = over(context, operation.marks) or (undated and _notice(context, operation, operation.marks) == 0)
    context.add(
        "request.operation.removed",
        Level.INFO if ended else Level.BREAKING,
        f"is gone, {circumstances(context, operation.marks)}",
        operation=operation,
        places=places,
        counterexample=None if ended else {"request": context.request(operation)},
    )


def over(context: Context, marks: Marks) -> bool:
    """Whether what is marked so was announced to be gone by today."""
    return marks.deprecated and isinstance(marks.sunset, date) and marks.sunset <= context.settings.today


def promised(context: Context, marks: Marks) -> bool:
    """Whether what is marked so was promised to work today, by a date that has not come or by one that nobody can read."""
    return marks.deprecated and marks.sunset is not None and not over(context, marks)


def circumstances(context: Context, marks: Marks) -> str:
    """For people: how a removal stands to what was announced."""
    if not marks.deprecated:
        return "without having been deprecated"
    if not isinstance(marks.sunset, date):
        return "deprecated, but without a date in x-sunset"
    return f"{'after' if over(context, marks) else 'before'} its sunset on {marks.sunset}"


def compare(context: Context, pair: Pair) -> None:
    """Compare the marks of an operation."""
    places = (pair.old.pointer, pair.new.pointer)
    _stability(context, pair, (context.stability(pair.old), context.stability(pair.new)), places, "")
    compare_marks(context, pair, pair.old.marks, pair.new.marks, places=places)


def compare_marks(context: Context, pair: Pair, old: Marks, new: Marks, *, places: tuple[str, str], part: str = "") -> None:
    """Compare the marks of an operation, or of a part of it that `part` names for people."""
    if old == new:
        return
    if part and old.stability != new.stability:
        promises = old.stability or context.stability(pair.old), new.stability or context.stability(pair.new)
        _stability(context, pair, promises, places, part)
    _ending(context, pair, old, new, places=places, part=part)


def _ending(context: Context, pair: Pair, old: Marks, new: Marks, *, places: tuple[str, str], part: str) -> None:
    def add(name: str, level: Level, message: str) -> None:
        promise = {"old": _until(old), "new": _until(new)}
        context.add(
            f"document.{name}",
            level,
            f"{part}: {message}" if part else message,
            operation=pair.old,
            places=places,
            counterexample={"request": context.request(pair), "works_until": promise} if level is Level.BREAKING else None,
            old=promise["old"],
            new=promise["new"],
        )

    if new.sunset is not None and not isinstance(new.sunset, date):
        add(
            "sunset.undecided",
            Level.BREAKING,
            f"x-sunset {new.sunset!r} is no date (YYYY-MM-DD): nobody knows until when it works",
        )
    if not new.deprecated:
        if old.deprecated:
            add("deprecation.removed", Level.INFO, "is no longer deprecated")
        return
    level, days = _level(context, pair.new, new), _notice(context, pair.new, new)
    if not old.deprecated:
        add("deprecation.added", Level.INFO, "is deprecated now")
        if new.sunset is None and days > 0:
            add("sunset.missing", Level.WARNING, "is deprecated without x-sunset: clients do not know until when it works")
    elif old.sunset is not None and new.sunset is None:
        add("sunset.removed", Level.BREAKING, f"its sunset on {old.sunset} is not announced any more")
    if not isinstance(new.sunset, date) or new.sunset == old.sunset:
        return
    earlier = isinstance(old.sunset, date) and new.sunset < old.sunset
    if new.sunset < context.settings.today + timedelta(days=days) and (earlier or not isinstance(old.sunset, date)):
        add(
            "sunset.early",
            Level.BREAKING,
            f"its sunset on {new.sunset} leaves less notice than the {days} days of {level} operations",
        )
    elif old.sunset is not None:
        add("sunset.changed", Level.WARNING if earlier else Level.INFO, f"its sunset was {old.sunset} and is {new.sunset}")


def agree(context: Context, served: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether what the app sends in `Deprecation` and `Sunset` is what its document says, both ways.

    Args:
        served: by `METHOD /path`, the `sunset` (a date as text, or None) that the routes announce, and their `headers`.
    """
    for key, operation in context.new.operations.items():
        told, said = served.get(operation.title), operation.marks
        before = context.old.operations.get(key)
        places = ("" if before is None else before.pointer, operation.pointer)
        if told is not None and (not said.deprecated or told["sunset"] != _until(said)):
            says = f"deprecated, sunset {_until(said)}" if said.deprecated else "nothing"
            context.add(
                "document.deprecation.changed",
                Level.BREAKING,
                f"responses announce a sunset on {told['sunset']}, the document says {says}: "
                "use app.openapi = openapi.document(app)",
                operation=operation,
                places=places,
                counterexample={"response": {"headers": told["headers"]}},
            )
        elif told is None and said.deprecated and said.sunset is not None:
            context.add(
                "document.header.missing",
                Level.WARNING,
                f"the document announces a sunset on {_until(said)}, and no route of fastness.versioning.Deprecated sends it",
                operation=operation,
                places=places,
            )


def _stability(context: Context, pair: Pair, promises: tuple[str, str], places: tuple[str, str], part: str) -> None:
    before, after = promises
    if before == after:
        return
    known = before in STABILITIES and after in STABILITIES
    less = known and STABILITIES.index(after) < STABILITIES.index(before)
    if not known:
        kind, message = "undecided", f"x-stability-level was {before!r} and is {after!r}, expected {', '.join(STABILITIES)}"
    else:
        kind, message = "narrowed" if less else "widened", f"was {before} and is {after}"
    breaks = less or not known
    context.add(
        f"document.stability.{kind}",
        Level.BREAKING if breaks else Level.INFO,
        f"{part}: {message}" if part else message,
        operation=pair.old,
        places=places,
        counterexample={"request": context.request(pair), "promise": {"old": before, "new": after}} if breaks else None,
        old=before,
        new=after,
    )


def _level(context: Context, operation: Operation, marks: Marks) -> str:
    found = marks.stability or context.stability(operation)
    return found if found in STABILITIES else "stable"


def _notice(context: Context, operation: Operation, marks: Marks) -> int:
    """Days between the news of an end and the end."""
    return context.settings.notice[_level(context, operation, marks)]


def _until(marks: Marks) -> str | None:
    return None if marks.sunset is None else str(marks.sunset)
