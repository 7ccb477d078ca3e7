"""Backup: the ledger and the lake as of one moment, and what belongs to them, copied to another place.

The lock of the flows is held only while the ledger is dumped and the lake listed: no stage and no erasure is half
done in a backup. Landing goes on; the ledger is taken first, and what it lacks of packages the lake tells it again.
Copying comes after: files of a table never change, so what an earlier backup holds is not read again. A file that
goes meanwhile (an erasure removes at once) means that the moment has passed: the lake is listed anew.

A backup holds personal data, and the secret of the keyed hashes unless it is left out: its place must be guarded as
the lake is. It is not encrypted here; let the bucket do that.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from onefold_storage.backup_ledger import dump
from onefold_storage.backup_store import BackupStore, Manifest, Stored
from onefold_storage.clock import SystemClock
from onefold_storage.errors import Conflict
from onefold_storage.installation import FLOW, Installation
from onefold_storage.lake import Lake
from onefold_storage.law import fingerprint
from onefold_storage.objects import Entry, Objects
from onefold_storage.places import table_of
from onefold_storage.settings import StorageSettings

OnStep = Callable[[str], None]
_LOG = re.compile(r"_delta_log/(\d{20})\.[^/]+$")
_DERIVED = ("work/",)
_WRITTEN = {".yaml", ".yml", ".py", ".toml", ".md", ".sql", ".txt"}
"""Kinds of files of a workspace that people write; the data that sources lay there is not in a backup."""
_TRIES = 5
_THREADS = 8


@dataclass(frozen=True)
class BackedUp:
    """What a backup came to: objects and bytes it holds, and those of them that had to be copied."""

    id: str
    objects: int
    size: int
    copied: int
    copied_size: int
    ledger_rows: int
    pruned: tuple[str, ...]


@dataclass(frozen=True)
class _Moment:
    """The lake as it was listed: version by table, and every object that belongs to it."""

    tables: dict[str, int]
    objects: dict[str, Entry]


class _PassedError(Exception):
    """An object went before it was copied."""


def store_at(settings: StorageSettings, url: str) -> BackupStore:
    """The backups at a URL or path.

    Raises:
        Conflict: it lies inside of what is to be backed up, or the other way round.
    """
    root = url.rstrip("/").removeprefix("file://")
    root = root if "://" in root else str(Path(root).expanduser().absolute())
    for inside in (settings.lake, str(settings.root)):
        if f"{root}/".startswith(f"{inside}/") or f"{inside}/".startswith(f"{root}/"):
            raise Conflict(f"{root}: lies together with {inside}; a backup needs a place of its own")
    return BackupStore(Objects(root, settings.backup_options_for(root)))


def back_up(
    installation: Installation,
    store: BackupStore,
    *,
    with_secret: bool = True,
    keep: int = 0,
    on_step: OnStep | None = None,
) -> BackedUp:
    """Take a backup; `keep` of the newest stay (0: all).

    Raises:
        Conflict: a flow went on for ten minutes, or objects kept going while they were copied.
    """
    with installation.lake.lock("backup"):
        return _back_up(installation, store, with_secret=with_secret, keep=keep, say=on_step or (lambda _: None))


def _back_up(
    installation: Installation, store: BackupStore, *, with_secret: bool, keep: int, say: OnStep
) -> BackedUp:
    now = SystemClock().now()
    name = now.strftime("%Y%m%dT%H%M%S.%fZ")
    before = store.read() if store.ids() else None
    held = store.held()
    with tempfile.TemporaryDirectory(prefix="onefold-backup-") as folder:
        for _ in range(_TRIES):
            say("the moment is taken")
            with installation.lake.lock(FLOW):
                installation.law.copy()
                rows = dump(installation.ledger.engine, Path(folder) / "ledger")
                moment = _taken(installation.lake)
            try:
                objects, copied = _copy(installation.lake, store, moment, before, held, say)
                break
            except _PassedError:
                continue
        else:
            raise Conflict("objects went while they were copied, time and again: take the backup at a quieter time")
        with (Path(folder) / "ledger").open("rb") as file:
            ledger, _ = store.put(file, held)
        say("workspace and home")
        root = installation.settings.root
        files = _files(store, held, _home(root, Path(folder), with_secret=with_secret))
        workspace = _files(store, held, _workspace(installation.settings.workspace_folder))
    store.copy_law(installation.lake.objects)
    tables, mark = moment.tables, fingerprint(installation.keyed_hash)
    made = Manifest(name, now.isoformat(), tables, objects, ledger, rows, workspace, files, mark)
    store.write(made)
    size = sum(s.size for s in made.contents.values())
    new = [s for s in made.contents.values() if s.sha256 not in held]
    return BackedUp(
        name, len(objects), size, copied, sum(s.size for s in new), sum(rows.values()), store.prune(keep)
    )


def _taken(lake: Lake) -> _Moment:
    """List the lake. A table's version is asked before its files are listed, so that all of them are found."""
    tables = {n: lake.version(n) for n in lake.names()}
    active = {f"{n}/{path}" for n, v in tables.items() for path, _ in lake.standing(n, v)}
    found: dict[str, Entry] = {}
    for key, entry in lake.objects.entries("").items():
        table = table_of(key)
        if key.endswith(".tmp") or key.startswith(_DERIVED):
            continue
        log = _LOG.search(key) if table else None
        wanted = int(log[1]) <= tables.get(str(table), -1) if log else table is None or key in active
        if wanted and not key.endswith("/_last_checkpoint"):  # a hint, which may be newer than the version
            found[key] = entry
    return _Moment(tables, found)


def _copy(
    lake: Lake, store: BackupStore, moment: _Moment, before: Manifest | None, held: frozenset[str], say: OnStep
) -> tuple[dict[str, Stored], int]:
    """Copy what is new, several objects at a time; gives every object's content, and how many were copied."""

    def one(item: tuple[str, Entry]) -> tuple[str, Stored, bool]:
        key, entry = item
        known = before.objects.get(key) if before else None
        if known and (known.size, known.mark) == (entry.size, entry.mark) and known.sha256 in held:
            return key, known, False
        try:
            with lake.objects.open(key) as source:
                return key, *store.put(source, held, entry.mark)
        except FileNotFoundError:
            raise _PassedError from None

    stored: dict[str, Stored] = {}
    copied = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, (key, content, new) in enumerate(pool.map(one, sorted(moment.objects.items())), 1):
            stored[key] = content
            copied += new
            if number % 100 == 0:
                say(f"{number:,} of {len(moment.objects):,} objects")
    return stored, copied


def _files(store: BackupStore, held: frozenset[str], paths: Iterable[tuple[str, Path]]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for name, path in paths:
        with path.open("rb") as file:
            found[name], _ = store.put(file, held)
    return found


def _workspace(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        return []
    paths = (p for p in folder.rglob("*") if p.is_file() and p.suffix in _WRITTEN and "__pycache__" not in p.parts)
    return [(str(p.relative_to(folder)), p) for p in sorted(paths)]


def _home(root: Path, folder: Path, *, with_secret: bool) -> list[tuple[str, Path]]:
    """The secret and the registry of models that lie in the home; a database is copied as of one moment."""
    found: list[tuple[str, Path]] = []
    if with_secret and (root / "secret").is_file():
        found.append(("secret", root / "secret"))
    if (root / "mlflow.db").is_file():
        with (
            closing(sqlite3.connect(f"file:{root / 'mlflow.db'}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(folder / "mlflow.db")) as target,
        ):
            source.backup(target)
        found.append(("mlflow.db", folder / "mlflow.db"))
    for path in sorted(p for p in (root / "mlflow").rglob("*") if p.is_file()):
        kept = folder / "mlflow" / path.relative_to(root / "mlflow")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
        found.append((str(path.relative_to(root)), kept))
    return found
