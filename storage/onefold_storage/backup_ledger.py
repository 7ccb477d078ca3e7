"""The ledger as a portable file: one JSON line a row, from SQLite or PostgreSQL into either.

The first line names the revision; a newer release reads an older file, and columns it added since are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, func, select

from onefold_storage.errors import BadInput, Conflict
from onefold_storage.law import set_sequence
from onefold_storage.ledger_tables import Instant, metadata
from onefold_storage.migrations import HEAD

_ROWS = 5_000


def dump(engine: Engine, path: Path) -> dict[str, int]:
    """Write every row, as of one moment, and give how many by table."""
    rows: dict[str, int] = {}
    with engine.connect() as connection, path.open("wb") as file:
        path.chmod(0o600)
        connection.execution_options(onefold_write=False)
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        file.write(orjson.dumps({"revision": HEAD}) + b"\n")
        for table in metadata.sorted_tables:
            name = str(table.name)
            rows[name] = 0
            for row in connection.execution_options(yield_per=_ROWS).execute(select(table)).mappings():
                file.write(orjson.dumps({"table": name, "row": dict(row)}) + b"\n")
                rows[name] += 1
    return rows


def is_empty(engine: Engine) -> bool:
    """Whether no table holds a row."""
    with engine.connect() as connection:
        connection.execution_options(onefold_write=False)
        return not any(
            connection.execute(select(func.count()).select_from(t)).scalar_one() for t in metadata.sorted_tables
        )


def load(engine: Engine, path: Path) -> dict[str, int]:
    """Replace every row by those of a file, in one transaction, and give how many by table.

    Raises:
        Conflict: a newer release wrote the file. BadInput: it is none.
    """
    rows: dict[str, int] = {}
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        waiting: dict[str, list[dict[str, Any]]] = {}
        for name, row in _read(path):
            waiting.setdefault(name, []).append(row)
            rows[name] = rows.get(name, 0) + 1
            if len(waiting[name]) >= _ROWS:
                _insert(connection, name, waiting.pop(name))
        for name, some in waiting.items():
            _insert(connection, name, some)
        for table in metadata.sorted_tables:
            if rows.get(table.name) and "id" in table.columns and table.columns["id"].autoincrement is True:
                set_sequence(connection, table)
    return rows


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        head = orjson.loads(file.readline() or b"{}")
        if "revision" not in head:
            raise BadInput(f"{path}: expected the dump of a ledger, found something else")
        if head["revision"] > HEAD:
            raise Conflict(
                f"the backup's ledger is at revision {head['revision']}, this program knows up to {HEAD}: "
                "restore it with the release that wrote it, or a newer one"
            )
        for line in file:
            entry = orjson.loads(line)
            yield entry["table"], entry["row"]


def _insert(connection: Connection, name: str, rows: list[dict[str, Any]]) -> None:
    table = metadata.tables[name]
    times = [c.name for c in table.columns if isinstance(c.type, Instant)]
    empty = {c.name: None for c in table.columns}
    for row in rows:
        row.update({t: datetime.fromisoformat(row[t]) for t in times if row.get(t)})
    connection.execute(table.insert(), [empty | {k: v for k, v in r.items() if k in empty} for r in rows])
