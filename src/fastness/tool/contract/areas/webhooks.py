"""Webhooks and callbacks: requests that the server sends, so that client and server change places."""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Operation


def webhooks(context: Context) -> Iterator[Pair]:
    """Report webhooks that came and went; gives those that stand in both documents."""
    yield from _compare(context, "webhook", dict(context.old.webhooks), dict(context.new.webhooks), ("", ""))


def callbacks(context: Context, pair: Pair) -> Iterator[Pair]:
    """The same for the callbacks of an operation."""
    parents = (pair.old.pointer, pair.new.pointer)
    yield from _compare(context, "callback", dict(pair.old.callbacks), dict(pair.new.callbacks), parents)


def _compare(
    context: Context, area: str, old: dict[str, Operation], new: dict[str, Operation], parents: tuple[str, str]
) -> Iterator[Pair]:
    for key, operation in old.items():
        if key in new:
            yield Pair(operation, new[key], calls_client=True)
        else:
            context.add(
                f"request.{area}.removed",
                Level.BREAKING,
                f"{area} {key} is not sent any more",
                operation=operation,
                places=(operation.pointer, parents[1]),
                counterexample={"request": {"method": operation.method.upper(), "path": operation.path, "sent": False}},
            )
    for key, operation in new.items():
        if key not in old:
            context.add(
                f"request.{area}.added",
                Level.INFO,
                f"{area} {key} is new",
                operation=operation,
                places=(parents[0], operation.pointer),
            )
