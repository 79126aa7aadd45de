"""Headers of responses. Those of requests are parameters."""

from __future__ import annotations

from fastness.tool.contract.areas import schemas
from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Parameter, Response

_OF_LIFECYCLE = {"deprecation", "sunset"}  # they come with the marks of the operation, which are told once


def compare(context: Context, pair: Pair, old: Response, new: Response) -> None:
    """Compare the headers of a response."""
    for name, header in old.headers.items():
        found = new.headers.get(name)
        if found is None or (header.required and not found.required):
            _missing(context, pair, new, header, found)
        if found is not None:
            _both(context, pair, new.status, header, found)
    for name, header in new.headers.items():
        if name not in old.headers and not (name in _OF_LIFECYCLE and pair.old.marks != pair.new.marks):
            context.add(
                "response.header.added",
                Level.INFO,
                f"{new.status}: header {header.name} is new",
                operation=pair.old,
                places=(old.pointer, header.pointer),
            )


def _missing(context: Context, pair: Pair, response: Response, header: Parameter, found: Parameter | None) -> None:
    context.add(
        "response.header.removed" if found is None else "response.header.optional",
        Level.BREAKING if header.required else Level.WARNING,
        f"{response.status}: header {header.name} {'is gone' if found is None else 'may be missing now'}",
        operation=pair.old,
        places=(header.pointer, response.pointer if found is None else found.pointer),
        counterexample={"response": {"status": response.status, "headers": {}}} if header.required else None,
    )


def _both(context: Context, pair: Pair, status: str, old: Parameter, new: Parameter) -> None:
    schemas.compare(
        context,
        pair,
        pair.response,
        word="response",
        subject=f"header {old.name} of {status}",
        old=old.schema,
        new=new.schema,
        pointers=(old.pointer, new.pointer),
        example=lambda value: {"response": {"status": status, "headers": {new.name: value}}},
        text=True,
    )
