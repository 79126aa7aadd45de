"""An index of the deliveries that are under way.

Revision 0005, after 0004, and apart from it: on PostgreSQL an index that is made while others write needs to be outside of a
transaction, and what fails there must not have done half of something else.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

NAME = "ix_deliveries_due_at"
UNDER_WAY = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    options: dict[str, Any] = {"postgresql_where": UNDER_WAY, "sqlite_where": UNDER_WAY}
    with _beside_writers():
        # What an attempt that was broken off has left behind is there, and is not valid.
        op.drop_index(NAME, table_name="deliveries", if_exists=True, postgresql_concurrently=True)
        op.create_index(NAME, "deliveries", ["due_at", "id"], postgresql_concurrently=True, **options)


def downgrade() -> None:
    with _beside_writers():
        op.drop_index(NAME, table_name="deliveries", if_exists=True, postgresql_concurrently=True)


def _beside_writers() -> AbstractContextManager[None]:
    context = op.get_context()
    return context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext()
