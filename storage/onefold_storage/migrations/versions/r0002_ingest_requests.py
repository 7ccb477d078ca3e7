"""Requests that landed under their sender's key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "ingest_requests",
        sa.Column("source", sa.String(63), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("body", sa.String(32), nullable=False),
        sa.Column("content", sa.String(128), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "key", name="pk_ingest_requests"),
    )
    op.create_index("ix_ingest_requests_at", "ingest_requests", ["at"])
