"""A mark beside each hash of the suppression list, by which landing sieves what is worth hashing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; what is listed already has no mark."""
    op.add_column("suppression_list", sa.Column("mark", sa.BigInteger()))
