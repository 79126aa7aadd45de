"""Paths and operations: which are new, which are gone, and on which servers."""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.contract.areas import lifecycle
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Contract


def compare(context: Context) -> Iterator[Pair]:
    """Report operations that came and went; gives those that stand in both documents."""
    old, new = context.old.operations, context.new.operations
    for key, operation in old.items():
        if key in new:
            yield Pair(operation, new[key])
        else:
            lifecycle.removed(context, operation, (operation.pointer, _paths(context.new)))
    for key, operation in new.items():
        if key not in old:
            context.add(
                "request.operation.added",
                Level.INFO,
                "is new",
                operation=operation,
                places=(_paths(context.old), operation.pointer),
            )


def servers(context: Context, pair: Pair) -> None:
    """A base URL that clients use has to stay. A document that names none says nothing."""
    if not pair.old.servers or not pair.new.servers:
        return
    for url in pair.old.servers:
        if url not in pair.new.servers:
            request = context.request(pair)
            context.add(
                "request.server.removed",
                Level.BREAKING,
                f"server {url} is gone",
                operation=pair.old,
                places=(pair.old.servers_at, pair.new.servers_at),
                counterexample={"request": {**request, "server": url}},
                old=list(pair.old.servers),
                new=list(pair.new.servers),
            )


def _paths(contract: Contract) -> str:
    return "/paths" if "paths" in contract.raw else ""
