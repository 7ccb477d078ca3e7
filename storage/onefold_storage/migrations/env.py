"""Alembic's entry: runs the revisions on the connection that `ledger_schema.py` hands over."""

from __future__ import annotations

from alembic import context

from onefold_storage.ledger_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
