"""Versions of things on the wire: `ETag` on answers, `If-Match` on changes (RFC 9110, sections 8.8.3 and 13.1.1)."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header
from fastness.openapi import add_problem
from fastness.problems import Problem

from app.api.problems import PRECONDITION_REQUIRED, VERSION_MISMATCH

_TAG = re.compile(r'(W/)?"([^"]*)"')


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


class _IfMatch:
    """A change must say which version it changes: 428 without `If-Match`, 412 when that is not the current one."""

    async def __call__(
        self,
        if_match: Annotated[str | None, Header(max_length=1000, description="The ETag of what you have read.")] = None,
    ) -> Callable[[int], bool]:
        if if_match is None:
            raise Problem(PRECONDITION_REQUIRED)
        if if_match.strip() == "*":
            return lambda version: True
        # A weak tag matches nothing: what it stands for may differ in the bytes.
        tags = {tag for weak, tag in _TAG.findall(if_match) if not weak}
        return lambda version: str(version) in tags

    def document_operation(self, operation: dict[str, Any]) -> None:
        add_problem(operation, VERSION_MISMATCH, PRECONDITION_REQUIRED)


IfMatch = Annotated[Callable[[int], bool], Depends(_IfMatch())]
