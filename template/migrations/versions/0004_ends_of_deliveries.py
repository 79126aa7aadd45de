"""Why deliveries ended, and which job makes them.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("reason", sa.String(length=32), nullable=True))
    op.add_column("deliveries", sa.Column("ticket", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("deliveries", "ticket")
    op.drop_column("deliveries", "reason")
