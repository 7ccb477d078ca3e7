"""The law, kept twice: wishes, the suppression list and records of erasures stand in the ledger, and in the lake.

What the ledger holds of them is copied to `law/` by whoever adds to it and by every flow, so that a ledger that is
lost can be rebuilt (`rebuild`). Whoever opens an installation compares the two: a ledger that lacks what the lake
knows has forgotten somebody's wish, and nobody may be contacted and nothing may land until it is rebuilt. The same
holds for a secret that is not the one the hashes were made with. Evidence of wishes is not copied: people wrote it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Table, func, select, text

from onefold_storage.errors import Conflict
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import audit, suppression_list, wishes
from onefold_storage.objects import Objects

ROOT = "law"
ERASED = "person.erase"
"""The audit trail's action of an erasure."""
RESTORING = f"{ROOT}/restoring.json"
"""There while a backup is being restored."""
_MARK = f"{ROOT}/secret.json"
_PATIENCE = 5.0
"""Seconds that opening a ledger waits for storage."""
_FOLD = 100
"""Objects of one kind from which on `fold` makes one of them."""
_TABLES: dict[str, Table] = {"wishes": wishes, "suppressed": suppression_list, "erasures": audit}
_LEFT_OUT = ("evidence",)

Row = dict[str, Any]
Hold = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Statutes:
    """The law as rows: of the wishes, the suppression list, and erasures in the audit trail."""

    wishes: tuple[Row, ...] = ()
    suppressed: tuple[Row, ...] = ()
    erasures: tuple[Row, ...] = ()

    def __add__(self, other: Statutes) -> Statutes:
        """Both; a row that stands in both stands once."""
        return Statutes(
            _union(self.wishes, other.wishes, "id"),
            _union(self.suppressed, other.suppressed, "hash"),
            _union(self.erasures, other.erasures, "id"),
        )


class Law:
    """The law of one installation, in its ledger and below `objects`. `hold` gives the lock that writers take."""

    def __init__(
        self,
        access: Access,
        objects: Objects,
        hold: Hold,
        keyed: Callable[[], KeyedHash],
        *,
        backups: Callable[[], Objects] | None = None,
        restoring: bool = False,
    ) -> None:
        """`backups`: where else each copy goes. `restoring`: whoever restores may, though it is not done."""
        self._access, self._objects, self._hold, self._keyed = access, objects, hold, keyed
        self._backups, self._restoring = backups, restoring

    def copy(self) -> int:
        """Copy what is new in the ledger to the lake, and give how many rows.

        Raises:
            Conflict: the ledger or the secret is not the one that wrote what is there.
        """
        with self._hold():
            self.require()
            if self._objects.size(_MARK) is None:
                self._objects.put(_MARK, orjson.dumps({"fingerprint": fingerprint(self._keyed())}))
            copied = sum(self._copy(kind) for kind in _TABLES)
            if self._backups is not None:
                self._copy_to(self._backups)
            return copied

    def require_if_there(self, patience: float = _PATIENCE) -> None:
        """As `require`, where storage answers within `patience` seconds.

        Where it does not, nothing can land and nothing be published; whoever does either asks again.

        Raises:
            Conflict: likewise.
        """
        found: list[Exception] = []

        def ask() -> None:
            try:
                self.require()
            except Exception as error:  # whatever a storage that is away makes of a request
                found.append(error)

        asking = threading.Thread(target=ask, name="onefold-law", daemon=True)
        asking.start()
        asking.join(patience)
        for error in found:
            if isinstance(error, Conflict):
                raise error
        if found or asking.is_alive():
            logging.getLogger(__name__).warning("the law was not compared: storage does not answer")

    def require(self) -> None:
        """Make sure that the ledger holds what the lake knows.

        Raises:
            Conflict: it does not, or the secret is another one; says what to do.
        """
        there = self._objects.keys(ROOT)
        if not self._restoring and RESTORING in there:
            raise Conflict(
                "a restore was cut off or still goes on, and who was erased since the backup is back until it ends: "
                "run onefold restore again"
            )
        written = self._objects.get(_MARK) if _MARK in there else None
        if written and orjson.loads(written)["fingerprint"] != fingerprint(self._keyed()):
            raise Conflict(
                "the installation's secret is not the one that wishes and erasures were kept with: nobody could be "
                "found in them. Put the old `secret` back into the home (a backup holds it); nothing was changed"
            )
        lacking = {kind: rows for kind in _TABLES if (rows := self._lacking(kind, there))}
        if lacking:
            told = ", ".join(f"{rows} {kind}" for kind, rows in lacking.items())
            raise Conflict(
                f"the ledger lacks {told} that the lake knows of: it was lost or is an older copy. Nobody may be "
                "contacted and nothing may land until it is rebuilt: onefold restore --ledger-from-lake"
            )

    def known(self) -> Statutes:
        """The law as the lake knows it."""
        return read_statutes(self._objects)

    def rebuild(self, statutes: Statutes | None = None) -> dict[str, int]:
        """Put what the lake knows (and `statutes`) into the ledger, where it lacks it; gives rows added by kind.

        Wishes that were recorded since the loss come after those that were known before it.
        """
        with self._hold():
            law = self.known() + (statutes or Statutes())
            with self._access.write() as connection:
                added = {
                    "wishes": _merge(connection, wishes, law.wishes),
                    "suppressed": _merge(connection, suppression_list, law.suppressed),
                    "erasures": _merge(connection, audit, law.erasures),
                }
        self.copy()
        return added

    def fold(self) -> int:
        """Make one object of many of a kind; gives how many went. Killed in between, rows stand twice, read once."""
        gone = 0
        with self._hold():
            for kind in _TABLES:
                keys = self._objects.keys(f"{ROOT}/{kind}")
                if len(keys) >= _FOLD:
                    rows = _rows(self._objects, kind)
                    self._objects.put(keys[-1], orjson.dumps(rows))
                    self._objects.delete_all(keys[:-1])
                    gone += len(keys) - 1
        return gone

    def _copy_to(self, backups: Callable[[], Objects]) -> None:
        try:
            mirror(self._objects, backups())
        except Exception as error:  # a second place that is away must not stop an erasure; the next copy brings it
            logging.getLogger(__name__).warning("the law is not with the backups (%s)", type(error).__name__)

    def _copy(self, kind: str) -> int:
        table = _TABLES[kind]
        with self._access.read() as connection:
            query = select(table)
            if kind == "suppressed":
                count = connection.execute(select(func.count()).select_from(table)).scalar_one()
                if count == _last(self._objects, kind):
                    return 0
                known = {r["hash"] for r in _rows(self._objects, kind)}
                rows = [dict(r) for r in connection.execute(query).mappings() if r["hash"] not in known]
                last = len(known) + len(rows)
            else:
                query = query.where(table.c.id > _last(self._objects, kind)).order_by(table.c.id)
                if kind == "erasures":
                    query = query.where(table.c.action == ERASED)
                rows = [dict(r) for r in connection.execute(query).mappings()]
                last = rows[-1]["id"] if rows else 0
        if rows:
            plain = [{k: v for k, v in r.items() if k not in _LEFT_OUT} for r in rows]
            self._objects.put(f"{ROOT}/{kind}/{last:012d}.json", orjson.dumps(plain))
        return len(rows)

    def _lacking(self, kind: str, there: list[str]) -> int:
        """How many rows of a kind the lake has and the ledger has not; only where the newest of them is missing."""
        keys = [k for k in there if k.startswith(f"{ROOT}/{kind}/")]
        newest = _parsed(_TABLES[kind], self._objects.get(keys[-1])) if keys else []
        return self._missing(kind, _rows(self._objects, kind)) if self._missing(kind, newest[-100:]) else 0

    def _missing(self, kind: str, rows: list[Row]) -> int:
        table, name = _TABLES[kind], _name(kind)
        missing = 0
        with self._access.read() as connection:
            for at in range(0, len(rows), 500):
                some = rows[at : at + 500]
                query = select(table).where(table.c[name].in_([r[name] for r in some]))
                found = {row[name]: dict(row) for row in connection.execute(query).mappings()}
                missing += sum(_differs(r, found.get(r[name])) for r in some)
        return missing


def _name(kind: str) -> str:
    return "hash" if kind == "suppressed" else "id"


def fingerprint(keyed: KeyedHash) -> str:
    """What tells one secret from another, and nothing else about it."""
    return keyed.of("law", "fingerprint")


def mirror(source: Objects, target: Objects) -> int:
    """Bring `law/` below `target` up to that below `source`; gives how many objects were new. Nothing goes."""
    there = target.sizes(ROOT)
    copied = 0
    for key in source.keys(ROOT):
        data = source.get(key) if key != RESTORING else None
        if data is not None and there.get(key) != len(data):
            target.put(key, data)
            copied += 1
    return copied


def read_statutes(objects: Objects) -> Statutes:
    """The law that stands below `law/` of a lake or a backup."""
    return Statutes(*(tuple(_rows(objects, kind)) for kind in _TABLES))


def _rows(objects: Objects, kind: str) -> list[Row]:
    name = _name(kind)
    found: dict[Any, Row] = {}
    for key in objects.keys(f"{ROOT}/{kind}"):
        found |= {r[name]: r for r in _parsed(_TABLES[kind], objects.get(key))}
    return list(found.values())


def _last(objects: Objects, kind: str) -> int:
    keys = objects.keys(f"{ROOT}/{kind}")
    return int(keys[-1].rsplit("/", 1)[1].removesuffix(".json")) if keys else 0


def _parsed(table: Table, data: bytes | None) -> list[Row]:
    rows = cast("list[Row]", orjson.loads(data)) if data else []
    times = [c.name for c in table.columns if c.name in ("at", "added_at")]
    for row in rows:
        row.update({n: datetime.fromisoformat(row[n]) for n in times if row.get(n)})
    return rows


def _differs(row: Row, found: Row | None) -> bool:
    return found is None or any(found.get(k) != v for k, v in row.items() if k not in _LEFT_OUT)


def _union(one: Iterable[Row], two: Iterable[Row], name: str) -> tuple[Row, ...]:
    found = {r[name]: r for r in two} | {r[name]: r for r in one}
    return tuple(found[k] for k in sorted(found))


def _merge(connection: Connection, table: Table, rows: tuple[Row, ...]) -> int:
    """Bring rows into a table under their own ids; rows that took such an id meanwhile get new ones, in order."""
    name = "hash" if table is suppression_list else "id"
    standing = {r[name]: dict(r) for r in connection.execute(select(table)).mappings()}
    lacking = [r for r in rows if _differs(r, standing.get(r[name]))]
    if not lacking:
        return 0
    taken = {r["id"] for r in lacking} & standing.keys() if name == "id" else set()
    if table is wishes:  # the order of wishes counts: what was recorded since the loss comes last, all of it
        taken |= standing.keys() - {r["id"] for r in rows}
    moved = [standing[i] for i in sorted(taken)]
    for row in moved:
        connection.execute(table.delete().where(table.c.id == row["id"]))
    empty = {c.name: None for c in table.columns}
    connection.execute(table.insert(), [empty | r for r in lacking])
    if name == "id":
        set_sequence(connection, table)
        for row in moved:
            connection.execute(table.insert().values({k: v for k, v in row.items() if k != "id"}))
    return len(lacking)


def set_sequence(connection: Connection, table: Table) -> None:
    """Let a table's own numbers go on after the greatest that was written."""
    if connection.dialect.name == "postgresql":
        sequence = connection.execute(text("SELECT pg_get_serial_sequence(:t, 'id')"), {"t": table.name}).scalar()
        query = f"SELECT setval(:s, (SELECT coalesce(max(id), 1) FROM {table.name}))"  # noqa: S608 - a name of ours
        connection.execute(text(query), {"s": sequence})
