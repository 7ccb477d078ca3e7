"""Restore: a backup into an empty installation, and the law as it stands now, not as it stood then.

What is newer than the backup comes from `law/` of the backups' place (written along by each erasure where
`ONEFOLD_BACKUP_URL` is set), from a lake that survived, and from what the installation itself still holds. Wishes
and suppressions are put into the ledger; whoever was erased since the backup is erased again, from the rows that
the backup brought back. Until that is done nothing can be opened: the ledger would lack what the lake knows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from onefold_storage.backup_ledger import is_empty, load
from onefold_storage.backup_store import BackupStore, Manifest, Stored
from onefold_storage.deliveries import BadRow
from onefold_storage.erasure import erase_all
from onefold_storage.errors import Conflict
from onefold_storage.installation import FLOW, Installation
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.law import RESTORING, Statutes, fingerprint, read_statutes
from onefold_storage.law import ROOT as LAW
from onefold_storage.ledger import Ledger
from onefold_storage.objects import Objects
from onefold_storage.person import known_contracts
from onefold_storage.rewriting import rewrite, vacuum
from onefold_storage.schema import CONTACT_RECORDS, FAILED_EVENTS, LINKS
from onefold_storage.suppressor import Suppressor

OnStep = Callable[[str], None]
_THREADS = 8


@dataclass(frozen=True)
class Restored:
    """What a restore came to: objects and ledger rows; of the law, rows that are newer than the backup, by kind.

    `erased`: customers who were erased since the backup, and again now; `swept`: further rows of theirs that went.
    """

    id: str
    taken_at: str
    objects: int
    size: int
    ledger_rows: int
    newer: dict[str, int]
    erased: int
    swept: int


def restore(
    installation: Installation,
    store: BackupStore,
    *,
    backup: str | None = None,
    force: bool = False,
    law: Objects | None = None,
    on_step: OnStep | None = None,
) -> Restored:
    """Bring a backup back; `law`: a lake that survived, whose law is newer. Cut off, it is simply run again.

    Raises:
        Conflict: the installation is not empty (`force` replaces what is there, but for its law), or has another
            secret than the backup.
        NotFound: no such backup. Unavailable: something of it is missing or damaged; nothing was changed, or run
            it again with another.
    """
    say = on_step or (lambda _: None)
    manifest = store.read(backup)
    if missing := store.missing(manifest):
        raise Conflict(f"{manifest.id}: {len(missing):,} contents are missing or not whole; restore another backup")
    with installation.lake.lock(FLOW):
        statutes = _surviving(installation, store, law)
        _make_room(installation, manifest, force=force)
        _secret(installation, store, manifest, force=force)
        objects = installation.lake.objects
        installation.lake.heads.forget()
        store_law = read_statutes(store.objects)
        say("the lake")
        _fetch(store, objects, manifest.objects, say)
        say("the ledger, workspace and home")
        with tempfile.TemporaryDirectory(prefix="onefold-restore-") as folder:
            store.fetch_to(manifest.ledger, Path(folder) / "ledger")
            with Ledger.open(installation.settings.ledger, installation.clock) as ledger:
                rows = load(ledger.engine, Path(folder) / "ledger")
                then = ledger.suppression.hashes()
                newer = installation.law_of(ledger, restoring=True).rebuild(statutes + store_law)
        for name, content in manifest.files.items():
            if name != "secret":
                store.fetch_to(content, installation.settings.root / name)
        for name, content in manifest.workspace.items():
            store.fetch_to(content, installation.settings.workspace_folder / name, 0o644)
    say("erasures made since")
    with Ledger.open(installation.settings.ledger, installation.clock) as ledger:
        opened = Installation(installation.settings)
        opened.__dict__.update(ledger=ledger, law=opened.law_of(ledger, restoring=True))
        erased, swept = _erase_again(opened, then)
        _reconcile(opened)
        ledger.audit.add("restore", "backup.restore", manifest.id, {"newer": newer, "erased": erased})
    installation.lake.objects.delete(RESTORING)
    size = sum(s.size for s in manifest.objects.values())
    return Restored(
        manifest.id, manifest.taken_at, len(manifest.objects), size, sum(rows.values()), newer, erased, swept
    )


def _surviving(installation: Installation, store: BackupStore, law: Objects | None) -> Statutes:
    """The law of what is still there; kept in the backups' place before anything is replaced."""
    here = installation.lake.objects
    found = Statutes()
    for place in (here, law):
        if place is not None and place.keys(LAW):
            store.copy_law(place)
            found += read_statutes(place)
    return found


def _make_room(installation: Installation, manifest: Manifest, *, force: bool) -> None:
    """Make sure that nothing is replaced unasked; what a restore that was cut off left may be."""
    objects = installation.lake.objects
    mark = objects.get(RESTORING)
    begun = mark is not None
    with Ledger.open(installation.settings.ledger, installation.clock) as ledger:
        empty = is_empty(ledger.engine)
    keys = objects.keys("", unfinished=True)
    if (keys or not empty) and not (force or begun):
        what = f"{len(keys):,} objects in the lake" if keys else "rows in the ledger"
        raise Conflict(
            f"the installation is not empty ({what}): restore into a new home, or replace it with --force"
        )
    objects.put(RESTORING, manifest.id.encode())
    kept = manifest.objects if mark == manifest.id.encode() else {}
    objects.delete_all([k for k in keys if k not in kept and not k.startswith(f"{LAW}/")])


def _secret(installation: Installation, store: BackupStore, manifest: Manifest, *, force: bool) -> None:
    path = installation.settings.root / "secret"
    held = manifest.files.get("secret")
    if path.is_file() and fingerprint(KeyedHash.at(path)) != manifest.fingerprint:
        if not (force and held):
            raise Conflict(f"{path}: is another secret than the backup's: wishes and erasures would find nobody")
        path.unlink()
    if path.is_file():
        return
    if held is None:
        raise Conflict(f"{path}: the backup was taken without its secret; put the secret there first")
    store.fetch_to(held, path)
    if fingerprint(KeyedHash.at(path)) != manifest.fingerprint:
        raise Conflict(f"{path}: the secret in the backup is not the one that it names; take another backup")


def _fetch(store: BackupStore, objects: Objects, wanted: dict[str, Stored], say: OnStep) -> None:
    """Bring objects back, logs of tables last: a table whose restore was cut off does not exist."""

    def one(item: tuple[str, Stored]) -> None:
        key, content = item
        with objects.open(key, "wb") as target:
            store.fetch(content, target)
        objects.sync(key)

    standing = objects.sizes("")
    law = {k: c for k, c in wanted.items() if not (k.startswith(f"{LAW}/") and k in standing)}
    data = sorted((k, c) for k, c in law.items() if "/_delta_log/" not in k)
    logs = sorted((k, c) for k, c in law.items() if "/_delta_log/" in k)
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, _ in enumerate(pool.map(one, data), 1):
            if number % 100 == 0:
                say(f"{number:,} of {len(law):,} objects")
        list(pool.map(one, logs))


def _erase_again(installation: Installation, then: frozenset[str]) -> tuple[int, int]:
    """Erase whoever was erased since the backup; gives customers and further rows. `then`: suppressed at its time."""
    since = installation.ledger.suppression.hashes() - then
    if not since:
        return 0, 0
    lake, keyed = installation.lake, installation.keyed_hash
    keys = lake.scan(CONTACT_RECORDS.name).select(pl.col("record_key").unique()).collect()["record_key"].to_list()
    own = [k for k in keys if keyed.of("record", k) in since]
    links = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null(), pl.col("record_key").is_in(own)).collect()
    again = links["golden_id"].unique().sort().to_list()
    erased = erase_all(installation, again, installation.clock.now(), actor="restore")
    return len(erased), _sweep(installation)


def _sweep(installation: Installation) -> int:
    """Take out rows of suppressed people that no customer led to: landed, but not resolved when the backup came."""
    lake, contracts = installation.lake, known_contracts(installation)
    lookup = Suppressor(installation.ledger.suppression, installation.keyed_hash).lookup()
    gone = 0
    for source, contract in sorted(contracts.items()):

        def listed(rows: pl.DataFrame, contract=contract) -> pl.Series:  # type: ignore[no-untyped-def]
            found = lookup.suppressed(contract, rows.to_arrow())
            return pl.Series([False] * rows.height if found is None else found, dtype=pl.Boolean)

        if lake.exists(contract.bronze):
            with lake.lock(f"land:{source}"), lake.lock(contract.bronze):
                rows = rewrite(lake, contract.bronze, listed, list(contract.by_name))
                gone += rows
                if rows:
                    vacuum(lake, contract.bronze)

    def bad(rows: pl.DataFrame) -> pl.Series:
        found = pl.Series([False] * rows.height, dtype=pl.Boolean)
        for (source,), part in rows.with_row_index("_at").group_by("source"):
            given = [BadRow(r["row_id"], r["rule"], "", r["raw"] or b"") for r in part.to_dicts()]
            hidden = pl.Series(lookup.suppressed_bad(contracts.get(str(source)), given), dtype=pl.Boolean)
            found = found.scatter(part["_at"].filter(hidden), True)
        return found

    if lake.exists(FAILED_EVENTS.name):
        with lake.lock(FAILED_EVENTS.name):
            rows = rewrite(lake, FAILED_EVENTS.name, bad, ["source", "row_id", "rule", "raw"])
            gone += rows
            if rows:
                vacuum(lake, FAILED_EVENTS.name)
    return gone


def _reconcile(installation: Installation) -> None:
    """Bring the book of load packages up to the lake, which was listed after the ledger was dumped."""
    for name in installation.lake.names():
        if name.startswith("bronze/") and name != FAILED_EVENTS.name:
            source = name.split("/", 1)[1]
            with installation.lake.lock(f"land:{source}"):
                installation.lander.reconcile(source)


def ledger_from_lake(installation: Installation) -> dict[str, int]:
    """Rebuild a ledger that was lost from what the lake knows; gives rows added by kind, and load packages.

    API keys, the audit trail but for erasures, and runs are lost: keys are made anew.
    """
    installation.lake.heads.forget()
    with Ledger.open(installation.settings.ledger, installation.clock) as ledger:
        added = installation.law_of(ledger).rebuild()
    opened = Installation(installation.settings)
    before = sum(t.packages for t in opened.ledger.packages.totals().values())
    _reconcile(opened)
    after = sum(t.packages for t in opened.ledger.packages.totals().values())
    opened.ledger.close()
    return added | {"packages": after - before}
