"""Jobs.

Revision 0003, after 0002.
"""

from alembic import op
from fastness.jobs import migrations

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    migrations.upgrade(op)


def downgrade() -> None:
    migrations.downgrade(op)
