"""Backup and restore: ledger and lake come back as of one moment, and the law as it stands now."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from onefold_storage import backup as backup_module
from onefold_storage import compaction, restoring, sweeping
from onefold_storage.backup import back_up, store_at
from onefold_storage.backup_store import BackupStore
from onefold_storage.erasure import erase
from onefold_storage.errors import Conflict, NotFound, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.ledger import Ledger
from onefold_storage.ledger_tables import metadata
from onefold_storage.maintenance import maintain
from onefold_storage.person import find_people
from onefold_storage.places import undeclared
from onefold_storage.rescanning import rescan
from onefold_storage.restoring import restore
from onefold_storage.terms import Terms
from onefold_storage.wishes import Wish

Make = Callable[..., Any]
on_disk = pytest.mark.parametrize("stored", ["file"], indirect=True)


@pytest.fixture
def store(filled: Installation, stored: str, tmp_path: Path) -> BackupStore:
    """Another bucket's folder, or another folder."""
    url = f"s3://onefold/{uuid.uuid4().hex}" if stored == "s3" else str(tmp_path / "backups")
    return store_at(filled.settings, url)


@pytest.fixture
def empty(filled: Installation, stored: str, tmp_path: Path) -> Iterator[Installation]:
    """A new home and lake, to restore into."""
    other = {"lake_url": f"s3://onefold/{uuid.uuid4().hex}"} if stored == "s3" else {"lake_url": None}
    made = Installation(filled.settings.model_copy(update={"home": tmp_path / "new", **other}))
    yield made
    if "ledger" in made.__dict__:
        made.ledger.close()


def _opened(installation: Installation) -> Installation:
    return Installation(installation.settings)


def _rows(installation: Installation) -> dict[str, list[str]]:
    """Every row of every table, as text in an order of its own."""
    lake = installation.lake
    return {n: sorted(map(repr, lake.scan(n).collect().rows())) for n in lake.names()}


def _ledger(installation: Installation) -> dict[str, list[str]]:
    """Every row of the ledger but for the runs and the trail of the restore itself."""
    with installation.ledger.engine.connect() as connection:
        found = {
            t.name: sorted(map(repr, connection.execute(t.select()).all()))
            for t in metadata.sorted_tables
            if t.name != "runs"
        }
    found["audit"] = [r for r in found["audit"] if "backup.restore" not in r]
    return found


def _objection(installation: Installation, mail: str) -> Wish:
    return Wish("email", installation.keyed_hash.of("email", mail), "marketing", "email", "REVOKED", ("g-bob",))


def test_what_was_backed_up_comes_back_and_a_second_backup_copies_what_is_new(
    filled: Installation, empty: Installation, store: BackupStore, small_lake: Any
) -> None:
    filled.settings.root.joinpath("mlflow").mkdir()
    filled.settings.root.joinpath("mlflow", "model.json").write_text("{}")
    workspace = filled.settings.workspace_folder
    (workspace / "features").mkdir(parents=True, exist_ok=True)
    (workspace / "features" / "x.py").write_text("x = 1\n")
    (workspace / "onefold.yaml").write_text("name: test\n")
    (workspace / "contracts").mkdir(exist_ok=True)
    (workspace / "contracts" / "broken.yaml").write_text("id: broken\n")  # must stand in the way of no erasure
    (workspace / "people.csv").write_text("a person\n")
    filled.ledger.keys.create("crm", ["read:scores"])
    first = back_up(filled, store)
    assert first.copied == first.objects > 10
    assert back_up(filled, store).copied == 0
    small_lake["land"](filled, "crm", small_lake["CRM"] | {"card": ["1", "2", "3"]})
    second = back_up(filled, store)
    assert 0 < second.copied < first.objects / 3
    rows, ledger = _rows(filled), _ledger(filled)
    done = restore(empty, store)
    assert (done.id, done.objects, done.erased, done.swept) == (second.id, second.objects, 0, 0)
    found = _opened(empty)
    assert _rows(found) == rows
    assert _ledger(found) == ledger
    assert found.keyed_hash == filled.keyed_hash
    assert (found.settings.root / "mlflow" / "model.json").read_text() == "{}"
    assert (found.settings.workspace_folder / "features" / "x.py").read_text() == "x = 1\n"
    assert not (found.settings.workspace_folder / "people.csv").exists(), "a source's data is not a declaration"
    assert (found.settings.root / "secret").stat().st_mode & 0o077 == 0
    again = small_lake["land"](found, "crm", small_lake["CRM"] | {"card": ["1", "2", "3"]})
    assert again.status == "repeated", "what has landed is known"
    assert erase(found, "g-cyril", found.clock.now()).complete
    assert undeclared(found) == []
    found.ledger.close()
    with pytest.raises(Conflict, match="is not empty"):
        restore(_opened(empty), store)
    older = restore(_opened(empty), store, backup=first.id, force=True)
    assert older.erased == 1, "who was erased in what is replaced stays erased"


@on_disk
def test_who_was_erased_or_opted_out_since_stays_so(
    filled: Installation, empty: Installation, store: BackupStore, small_lake: Any
) -> None:
    small_lake["land"](
        filled, "visits", {"who": ["1", "3"], "note": ["Annabel, unmapped", "Cyril"]}, b'{"who": "1"}'
    )
    person = find_people(filled, ["g-ann"])[0]
    terms = Terms.of(person.identifiers)
    back_up(filled, store)
    assert erase(filled, "g-ann", filled.clock.now()).complete
    filled.ledger.wishes.add([_objection(filled, "bob@example.com")], "test")
    filled.law.copy()
    with pytest.raises(Conflict, match="lies together with"):
        store_at(filled.settings, f"{filled.settings.lake}/backup")
    done = restore(empty, store, law=filled.lake.objects)
    assert done.newer["wishes"] == 1
    assert done.newer["erasures"] == 1
    assert done.erased == 1
    found = _opened(empty)
    left = [k for k in rescan(found.lake.objects, terms)[1] if not k.startswith("law/")]
    assert left == [], "the backup brought the erased person back"
    subject = ("email", found.keyed_hash.of("email", "bob@example.com"))
    assert found.ledger.wishes.standing().forbidding([subject], "marketing", "email")
    package = small_lake["land"](found, "crm", small_lake["CRM"] | {"card": ["a", "b", "c"]})
    assert package.suppressed == 1
    assert found.ledger.packages.totals()["crm"].suppressed == 1
    found.ledger.close()


@on_disk
def test_an_erasure_is_noted_with_the_backups_at_once(
    filled: Installation, empty: Installation, tmp_path: Path, small_lake: Any
) -> None:
    named = Installation(filled.settings.model_copy(update={"backup_url": str(tmp_path / "backups")}))
    store = store_at(named.settings, str(tmp_path / "backups"))
    back_up(named, store)
    erase(named, "g-ann", named.clock.now())
    named.ledger.close()
    for path in sorted(named.settings.root.rglob("*"), reverse=True):  # everything is lost but the backups
        path.unlink() if path.is_file() else path.rmdir()
    assert restore(empty, store).erased == 1
    found = _opened(empty)
    assert small_lake["land"](found, "crm", small_lake["CRM"] | {"card": ["a", "b", "c"]}).suppressed == 1
    found.ledger.close()


@on_disk
def test_rows_that_nothing_led_to_are_swept_too(
    filled: Installation, empty: Installation, store: BackupStore, small_lake: Any
) -> None:
    back_up(filled, store)
    small_lake["land"](filled, "news", small_lake["NEWS"] | {"key": ["ann-9", "x"]}, b"annabel@example.com;?")
    later = back_up(filled, store)
    erase(filled, "g-ann", filled.clock.now())
    done = restore(empty, store, backup=later.id, law=filled.lake.objects)
    assert done.erased == 1
    found = _opened(empty)
    text_ = repr(_rows(found))
    assert "annabel@example.com" not in text_.lower()
    assert "ann-9" not in text_
    found.ledger.close()


@on_disk
def test_a_restore_that_was_cut_off_opens_nothing_and_goes_on(
    filled: Installation, empty: Installation, store: BackupStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(filled, store)
    erase(filled, "g-ann", filled.clock.now())

    def cut(*_: Any) -> Any:
        raise KeyboardInterrupt

    for name in ("_fetch", "load", "_erase_again"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(restoring, name, cut)
            restore(_opened(empty), store, law=filled.lake.objects)
        with pytest.raises(Conflict, match="a restore was cut off"):
            _ = _opened(empty).ledger
    assert restore(_opened(empty), store, law=filled.lake.objects).erased == 1
    found = _opened(empty)
    assert found.ledger.packages.list()
    found.ledger.close()


@on_disk
def test_a_damaged_or_foreign_backup_is_refused(
    filled: Installation, empty: Installation, store: BackupStore, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="there are none"):
        restore(empty, store)
    made = back_up(filled, store)
    with pytest.raises(NotFound, match=made.id):
        restore(empty, store, backup="other")
    part = next(s for k, s in store.read().objects.items() if k.endswith(".parquet"))
    blob = Path(store.objects.path(f"blobs/{part.sha256[:2]}/{part.sha256}"))
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"?")
    with pytest.raises(Unavailable, match="differs from its checksum"):
        restore(empty, store)
    blob.unlink()
    with pytest.raises(Conflict, match="1 contents are missing"):
        restore(empty, store)
    assert back_up(filled, store).copied == 1, "the next backup makes good what is missing"
    assert restore(_opened(empty), store).objects
    without = store_at(filled.settings, str(tmp_path / "without"))
    back_up(filled, without, with_secret=False)
    other = Installation(empty.settings.model_copy(update={"home": tmp_path / "third"}))
    with pytest.raises(Conflict, match="without its secret"):
        restore(other, without)
    (tmp_path / "third").mkdir(exist_ok=True)
    (tmp_path / "third" / "secret").write_text("ab" * 32)
    with pytest.raises(Conflict, match="another secret"):
        restore(other, without)
    (tmp_path / "third" / "secret").write_bytes((filled.settings.root / "secret").read_bytes())
    assert restore(_opened(other), without).objects


@on_disk
def test_old_backups_go_with_what_only_they_hold(filled: Installation, store: BackupStore, small_lake: Any) -> None:
    first = back_up(filled, store)
    erase(filled, "g-ann", filled.clock.now())
    small_lake["land"](filled, "crm", small_lake["CRM"] | {"card": ["1", "2", "3"]})
    second = back_up(filled, store, keep=1)
    assert second.pruned == (first.id,)
    assert store.missing(store.read()) == []
    blobs = store.objects.keys("blobs")
    assert {k.rsplit("/", 1)[1] for k in blobs} == set(store.read().contents)
    terms = Terms(frozenset({"annabel@example.com"}), frozenset())
    assert rescan(store.objects, terms)[1] == [], "with the last backup from before it, an erasure is complete"


@on_disk
def test_files_that_go_meanwhile_make_it_look_again(
    filled: Installation, empty: Installation, store: BackupStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = backup_module._taken
    calls = []

    def and_then(lake: Any) -> Any:
        moment = taken(lake)
        calls.append(moment)
        if len(calls) == 1:
            path = lake.files("gold/customers")[0]
            lake.replace("gold/customers", lake.read("gold/customers"))
            maintain_now = lake.handle("gold/customers")
            maintain_now.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
            assert not Path(path).exists()
        return moment

    monkeypatch.setattr(backup_module, "_taken", and_then)
    back_up(filled, store)
    assert len(calls) == 2
    before = _rows(filled)
    restore(empty, store)
    found = _opened(empty)
    assert _rows(found) == before
    found.ledger.close()


@on_disk
def test_what_lands_while_the_moment_is_taken_is_wholly_there_or_not_at_all(
    filled: Installation,
    empty: Installation,
    store: BackupStore,
    small_lake: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dump, taken = backup_module.dump, backup_module._taken
    between = small_lake["CRM"] | {"card": ["a", "b", "c"]}
    after = small_lake["CRM"] | {"card": ["d", "e", "f"]}

    def dumped(*arguments: Any) -> Any:
        rows = dump(*arguments)
        small_lake["land"](filled, "crm", between)
        return rows

    def listed(lake: Any) -> Any:
        moment = taken(lake)
        small_lake["land"](filled, "crm", after)
        return moment

    monkeypatch.setattr(backup_module, "dump", dumped)
    monkeypatch.setattr(backup_module, "_taken", listed)
    back_up(filled, store)
    restore(empty, store)
    found = _opened(empty)
    packages = [p for p in found.ledger.packages.list() if p.source == "crm"]
    assert sum(p.landed for p in packages) == found.lake.rows("bronze/crm")
    assert sorted(p.seq or 0 for p in packages) == list(range(1, len(packages) + 1))
    assert small_lake["land"](found, "crm", between).status == "repeated"
    assert small_lake["land"](found, "crm", after).landed == 3
    found.ledger.close()


@on_disk
def test_a_backup_that_was_cut_off_is_not_trusted(
    filled: Installation, empty: Installation, store: BackupStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "copy_law", cut)
        back_up(filled, store)
    assert store.ids() == []
    for key in store.objects.keys("blobs"):  # as large as it should be, and not what it should be
        path = Path(store.objects.path(key))
        path.write_bytes(bytes(path.stat().st_size))
    back_up(filled, store)
    before = _rows(filled)
    restore(empty, store)
    found = _opened(empty)
    assert _rows(found) == before
    found.ledger.close()


@on_disk
def test_a_compacted_lake_with_checkpoints_comes_back(
    filled: Installation,
    empty: Installation,
    store: BackupStore,
    small_lake: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compaction, "FEWEST", 2)
    monkeypatch.setattr(sweeping, "_LOG_ENTRIES", 3)
    for n in range(3):
        small_lake["land"](filled, "crm", small_lake["CRM"] | {"card": [f"a{n}", f"b{n}", f"c{n}"]})
    assert any(t.checkpoint and t.compacted for t in maintain(filled).tables)
    back_up(filled, store)
    before = _rows(filled)
    restore(empty, store)
    found = _opened(empty)
    assert _rows(found) == before
    assert found.lake.transaction("bronze/crm", "land") == filled.lake.transaction("bronze/crm", "land")
    found.ledger.close()


@pytest.mark.needs_postgres
@on_disk
def test_from_sqlite_into_postgresql_its_numbers_go_on(
    filled: Installation, empty: Installation, store: BackupStore, postgres: str
) -> None:
    engine = create_engine(postgres)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    filled.ledger.wishes.add([_objection(filled, "x@example.com")], "test")
    back_up(filled, store)
    before = _ledger(filled)
    target = Installation(empty.settings.model_copy(update={"ledger_url": postgres}))
    restore(target, store)
    with Ledger.open(postgres, empty.clock) as ledger:
        opened = Installation(target.settings)
        opened.__dict__["ledger"] = ledger
        assert _ledger(opened) == before
        last = max(w.id for w in ledger.wishes.listed())
        ledger.wishes.add([_objection(filled, "y@example.com")], "test")
        assert max(w.id for w in ledger.wishes.listed()) == last + 1
        back_to = store_at(filled.settings, f"{store.objects.root}-2")
        back_up(opened, back_to)
        assert back_to.read().ledger_rows["wishes"] == len(ledger.wishes.listed())
