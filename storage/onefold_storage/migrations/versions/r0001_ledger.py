"""The first ledger: load packages, keys, audit, suppression list, wishes, publications, runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_AT = sa.DateTime(timezone=True)
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "load_packages",
        sa.Column("package_id", sa.String(128), nullable=False),
        sa.Column("source", sa.String(63), nullable=False),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("content", sa.String(128), nullable=False),
        *(
            sa.Column(n, sa.BigInteger(), nullable=False)
            for n in ("sent", "landed", "failed", "repeated", "suppressed")
        ),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("message", sa.Text()),
        sa.Column("started_at", _AT, nullable=False),
        sa.Column("committed_at", _AT),
        sa.CheckConstraint(
            "status <> 'committed' OR sent = landed + failed + repeated + suppressed",
            name="ck_load_packages_every_row_accounted",
        ),
        sa.CheckConstraint("status IN ('committed', 'held')", name="ck_load_packages_status"),
        sa.PrimaryKeyConstraint("package_id", name="pk_load_packages"),
    )
    op.create_index("ix_load_packages_source_load_packages_content", "load_packages", ["source", "content"])
    op.create_index("ix_load_packages_source_load_packages_started_at", "load_packages", ["source", "started_at"])
    op.create_table(
        "bookmarks",
        sa.Column("source", sa.String(63), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("package_id", sa.String(128)),
        sa.Column("at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_bookmarks"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("expires_at", _AT),
        sa.Column("revoked_at", _AT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200)),
        sa.Column("detail", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "suppression_list",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("scheme", sa.String(63)),
        sa.Column("added_at", _AT, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_suppression_list"),
    )
    op.create_table(
        "wishes",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("subject_kind", sa.String(63), nullable=False),
        sa.Column("subject_hash", sa.String(64), nullable=False),
        sa.Column("golden_ids", sa.JSON(), nullable=False),
        sa.Column("data_use", sa.String(63), nullable=False),
        sa.Column("channel", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("evidence", sa.String(500)),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.CheckConstraint("state IN ('GRANTED', 'DENIED', 'REVOKED')", name="ck_wishes_state"),
        sa.PrimaryKeyConstraint("id", name="pk_wishes"),
    )
    op.create_index("ix_wishes_subject_hash", "wishes", ["subject_hash"])
    op.create_table(
        "publications",
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("built_at", _AT, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "status IN ('published', 'refused', 'withdrawn', 'pruned')", name="ck_publications_status"
        ),
        sa.PrimaryKeyConstraint("version", name="pk_publications"),
    )
    op.create_table(
        "runs",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(63), nullable=False),
        sa.Column("started", _AT, nullable=False),
        sa.Column("ended", _AT),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("run_id", "stage", name="uq_runs_run_id_stage"),
    )
    op.create_index("ix_runs_stage_runs_started", "runs", ["stage", "started"])
