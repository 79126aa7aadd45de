"""Parts of lists."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.domain.paging import CURSOR_PATTERN, decode_cursor, encode_cursor
from app.schemas.base import OutModel, QueryModel


class PageQuery(QueryModel):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=100, description="Items per page.")] = 20
    cursor: Annotated[
        str | None, Field(pattern=CURSOR_PATTERN, description="`next_cursor` of the page before; none for the first page.")
    ] = None

    @property
    def before(self) -> UUID | None:
        """The position that the page starts after."""
        return None if self.cursor is None else decode_cursor(self.cursor)


class PageOut(OutModel):
    """A part of a list, newest first."""

    next_cursor: Annotated[str | None, Field(description="Ask for the next page with it; null on the last page.")]


def cursor_to(position: UUID | None) -> str | None:
    """The cursor for a page's `next`."""
    return None if position is None else encode_cursor(position)
