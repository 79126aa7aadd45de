"""Lifecycle: deprecation, sunset and stability of operations, and whether clients got the notice that they were promised.

`deprecated` is OpenAPI's; `x-sunset` is the date from which an operation may be gone (RFC 8594), `x-stability-level` one of
draft, alpha, beta and stable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Operation
from fastness.tool.contract.settings import STABILITIES


def removed(context: Context, operation: Operation) -> None:
    """An operation is gone: after its sunset that is what was announced, before it a promise is broken."""
    ended = operation.deprecated and isinstance(operation.sunset, date) and operation.sunset <= context.settings.today
    if not operation.deprecated:
        why = "without having been deprecated"
    elif not isinstance(operation.sunset, date):
        why = "deprecated, but without a date in x-sunset"
    else:
        why = f"{'after' if ended else 'before'} its sunset on {operation.sunset}"
    context.add(
        "request.operation.removed",
        Level.INFO if ended else Level.BREAKING,
        f"{operation.title} is gone, {why}",
        operation=operation,
        location=operation.pointer,
        counterexample=None if ended else {"request": context.request(operation)},
    )


def compare(context: Context, pair: Pair) -> None:
    """Compare the marks of an operation."""
    old, new = pair.old, pair.new
    _stability(context, pair)
    if new.sunset is not None and not isinstance(new.sunset, date):
        _add(context, pair, "sunset.missing", Level.WARNING, f"x-sunset {new.sunset!r} is no date (YYYY-MM-DD)")
    if not new.deprecated:
        if old.deprecated:
            _add(context, pair, "deprecation.removed", Level.INFO, "is no longer deprecated")
        return
    if not old.deprecated:
        _add(context, pair, "deprecation.added", Level.INFO, "is deprecated now")
        if new.sunset is None and context.settings.notice[_level(context, pair)] > 0:
            _add(
                context, pair, "sunset.missing", Level.WARNING, "is deprecated without x-sunset: clients do not know until when"
            )
    if not isinstance(new.sunset, date) or new.sunset == old.sunset:
        return
    days = context.settings.notice[_level(context, pair)]
    earliest = context.settings.today + timedelta(days=days)
    moved_up = isinstance(old.sunset, date) and new.sunset < old.sunset
    if new.sunset < earliest and (moved_up or not isinstance(old.sunset, date)):
        message = f"its sunset on {new.sunset} leaves less notice than the {days} days of {_level(context, pair)} operations"
        _add(
            context,
            pair,
            "sunset.early",
            Level.BREAKING,
            message,
            counterexample={"request": context.request(pair), "on": str(new.sunset)},
        )
    elif old.sunset is not None:
        _add(context, pair, "sunset.changed", Level.INFO, f"its sunset was {old.sunset} and is {new.sunset}")


def agree(context: Context, served: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether what the app sends in `Deprecation` and `Sunset` is what its document says.

    Args:
        served: by `METHOD /path`, the `deprecated` and `sunset` (a date as text, or None) that the routes announce.
    """
    for operation in context.new.operations.values():
        told = served.get(operation.title)
        if told is None:
            continue
        sunset = None if operation.sunset is None else str(operation.sunset)
        if bool(told["deprecated"]) and (not operation.deprecated or told["sunset"] != sunset):
            says = "nothing" if not operation.deprecated else f"deprecated, sunset {sunset}"
            context.add(
                "document.deprecation.changed",
                Level.BREAKING,
                f"responses announce a sunset on {told['sunset']}, the document says {says}: "
                "use app.openapi = openapi.document(app)",
                operation=operation,
                location=operation.pointer,
                counterexample={"response": {"headers": {"Deprecation": "@...", "Sunset": told["sunset"]}}},
            )


def _stability(context: Context, pair: Pair) -> None:
    before, after = context.stability(pair.old), context.stability(pair.new)
    if before == after:
        return
    if before not in STABILITIES or after not in STABILITIES:
        _add(context, pair, "stability.changed", Level.WARNING, f"x-stability-level was {before} and is {after}")
        return
    less = STABILITIES.index(after) < STABILITIES.index(before)
    _add(
        context,
        pair,
        "stability.narrowed" if less else "stability.widened",
        Level.BREAKING if less else Level.INFO,
        f"was {before} and is {after}",
        counterexample={"request": context.request(pair), "promise": {"old": before, "new": after}} if less else None,
    )


def _level(context: Context, pair: Pair) -> str:
    found = context.stability(pair.new)
    return found if found in STABILITIES else "stable"


def _add(context: Context, pair: Pair, what: str, level: Level, message: str, *, counterexample: Any = None) -> None:
    context.add(
        f"document.{what}",
        level,
        f"{pair.new.title} {message}" if not message.startswith("its") else f"{pair.new.title}: {message}",
        operation=pair.old,
        location=pair.new.pointer,
        counterexample=counterexample,
    )
