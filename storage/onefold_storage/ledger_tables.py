"""The ledger's tables, once: what is law, money-like counts and keys, kept in SQL beside the lake.

No table holds an identifier in clear: subjects are keyed hashes (`keyed_hash.py`), keys are hashed.
`migrations/` brings a database to this shape; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Named,
    String,
    Table,
    Text,
    TypedColumns,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is taken off at the write and put back at the read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; a time without a zone is refused.

        Raises:
            ValueError: the time has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("expected a time with a time zone, found one without")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite grows a key by itself only where it is declared as INTEGER.
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


class LoadPackageColumns(TypedColumns):
    """One landed (or held) batch; sent = landed + failed + repeated + suppressed once it is committed."""

    package_id = Column(String(128), primary_key=True)
    source: Named[str] = Column(String(63))
    seq: Named[int | None] = Column(BigInteger)
    origin: Named[str] = Column(Text)
    content: Named[str] = Column(String(128))
    sent: Named[int] = Column(BigInteger)
    landed: Named[int] = Column(BigInteger)
    failed: Named[int] = Column(BigInteger)
    repeated: Named[int] = Column(BigInteger)
    suppressed: Named[int] = Column(BigInteger)
    status: Named[str] = Column(String(16))
    message: Named[str | None] = Column(Text)
    started_at: Named[datetime] = Column(Instant)
    committed_at: Named[datetime | None] = Column(Instant)


load_packages = Table(
    "load_packages",
    metadata,
    LoadPackageColumns,
    CheckConstraint(
        "status <> 'committed' OR sent = landed + failed + repeated + suppressed", name="every_row_accounted"
    ),
    CheckConstraint("status IN ('committed', 'held')", name="status"),
    Index(None, "source", "content"),
    Index(None, "source", "started_at"),
)


class IngestRequestColumns(TypedColumns):
    """A request that landed under its sender's key, as keyed hashes, and where its rows are; kept for some days."""

    source = Column(String(63), primary_key=True)
    key = Column(String(32), primary_key=True)
    body: Named[str] = Column(String(32))
    content: Named[str] = Column(String(128))
    first: Named[int] = Column(BigInteger)
    events: Named[int] = Column(BigInteger)
    at: Named[datetime] = Column(Instant)


ingest_requests = Table("ingest_requests", metadata, IngestRequestColumns, Index(None, "at"))


class BookmarkColumns(TypedColumns):
    """A copy of where a source's reader stands; the lake has the truth."""

    source = Column(String(63), primary_key=True)
    value: Named[Any] = Column(JSON, nullable=False)
    package_id: Named[str | None] = Column(String(128))
    at: Named[datetime] = Column(Instant)


bookmarks = Table("bookmarks", metadata, BookmarkColumns)


class KeyColumns(TypedColumns):
    """An API key: the hash of its secret, never the secret."""

    id = Column(String(16), primary_key=True)
    name: Named[str] = Column(String(200))
    hash: Named[str] = Column(String(64))
    scopes: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[datetime] = Column(Instant)
    expires_at: Named[datetime | None] = Column(Instant)
    revoked_at: Named[datetime | None] = Column(Instant)


api_keys = Table("api_keys", metadata, KeyColumns)


class AuditColumns(TypedColumns):
    """Who did what, to what; append only, without personal data."""

    id = Column(_SERIAL, primary_key=True, autoincrement=True)
    at: Named[datetime] = Column(Instant)
    actor: Named[str] = Column(String(200))
    action: Named[str] = Column(String(64))
    target: Named[str | None] = Column(String(200))
    detail: Named[Any | None] = Column(JSON)


audit = Table("audit", metadata, AuditColumns, Index(None, "at"))


class SuppressionColumns(TypedColumns):
    """Who may not land again: keyed hashes of their identifiers."""

    hash = Column(String(64), primary_key=True)
    kind: Named[str] = Column(String(32))
    scheme: Named[str | None] = Column(String(63))
    added_at: Named[datetime] = Column(Instant)
    reason: Named[str] = Column(String(200))
    mark: Named[int | None] = Column(BigInteger)


suppression_list = Table("suppression_list", metadata, SuppressionColumns)


class WishColumns(TypedColumns):
    """A consent or an objection as it was expressed; holds from the next request on."""

    id = Column(_SERIAL, primary_key=True, autoincrement=True)
    subject_kind: Named[str] = Column(String(63))
    subject_hash: Named[str] = Column(String(64))
    golden_ids: Named[Any] = Column(JSON, nullable=False)
    data_use: Named[str] = Column(String(63))
    channel: Named[str] = Column(String(63))
    state: Named[str] = Column(String(16))
    at: Named[datetime] = Column(Instant)
    evidence: Named[str | None] = Column(String(500))
    actor: Named[str] = Column(String(200))


wishes = Table(
    "wishes",
    metadata,
    WishColumns,
    CheckConstraint("state IN ('GRANTED', 'DENIED', 'REVOKED')", name="state"),
    Index(None, "subject_hash"),
)


class PublicationColumns(TypedColumns):
    """A serving snapshot that was built, and what became of it; the pointer object says which is current."""

    version = Column(String(64), primary_key=True)
    built_at: Named[datetime] = Column(Instant)
    status: Named[str] = Column(String(16))
    facts: Named[Any] = Column(JSON, nullable=False)


publications = Table(
    "publications",
    metadata,
    PublicationColumns,
    CheckConstraint("status IN ('published', 'refused', 'withdrawn', 'pruned')", name="status"),
)


class RunColumns(TypedColumns):
    """A stage of a flow run."""

    id = Column(_SERIAL, primary_key=True, autoincrement=True)
    run_id: Named[str] = Column(String(64))
    stage: Named[str] = Column(String(63))
    started: Named[datetime] = Column(Instant)
    ended: Named[datetime | None] = Column(Instant)
    status: Named[str] = Column(String(16))
    facts: Named[Any] = Column(JSON, nullable=False)


runs = Table("runs", metadata, RunColumns, UniqueConstraint("run_id", "stage"), Index(None, "stage", "started"))
