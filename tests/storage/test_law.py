"""Losing the ledger does not lose the law: it is copied to the lake, missed when it is gone, and rebuilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from onefold_storage import law as law_module
from onefold_storage.erasure import erase
from onefold_storage.errors import Conflict
from onefold_storage.installation import Installation
from onefold_storage.ledger import Ledger
from onefold_storage.ledger_tables import metadata
from onefold_storage.places import undeclared
from onefold_storage.restoring import ledger_from_lake
from onefold_storage.suppression import Suppressed
from onefold_storage.wishes import Wish

Make = Callable[..., Any]
on_disk = pytest.mark.parametrize("stored", ["file"], indirect=True)


def _wish(installation: Installation, mail: str, state: Any = "REVOKED", evidence: str | None = None) -> Wish:
    hashed = installation.keyed_hash.of("email", mail)
    return Wish("email", hashed, "marketing", "email", state, ("g-1",), evidence)


def _lose(installation: Installation) -> Installation:
    """The same home without its ledger."""
    installation.ledger.close()
    for path in installation.settings.root.glob("ledger.db*"):
        path.unlink()
    return Installation(installation.settings)


def _rebuilt(installation: Installation) -> Installation:
    with Ledger.open(installation.settings.ledger, installation.clock) as ledger:
        installation.law_of(ledger).rebuild()
    return Installation(installation.settings)


def _forbidden(installation: Installation, mail: str) -> bool:
    subject = ("email", installation.keyed_hash.of("email", mail))
    return installation.ledger.wishes.standing().forbidding([subject], "marketing", "email") is not None


def test_a_lost_ledger_is_refused_until_it_is_rebuilt_and_forgets_nobody(
    filled: Installation, small_lake: Any
) -> None:
    book = filled.ledger.wishes
    book.add([_wish(filled, "a@example.com"), _wish(filled, "b@example.com")], "test")
    filled.law.copy()
    book.add([_wish(filled, "b@example.com", "GRANTED", "told Ann on the phone")], "test")
    assert erase(filled, "g-ann", filled.clock.now()).complete
    before = filled.law.known()
    assert undeclared(filled) == []
    raw = b"".join(filled.lake.objects.get(k) or b"" for k in filled.lake.objects.keys("law"))
    assert b"example.com" not in raw
    assert b"Ann" not in raw, "what people wrote is not copied"
    lost = _lose(filled)
    with pytest.raises(Conflict, match=r"the ledger lacks 4 wishes, \d suppressed, 1 erasures.*--ledger-from-lake"):
        _ = lost.ledger
    with pytest.raises(Conflict, match="nothing may land"):
        _ = lost.lander
    found = _rebuilt(lost)
    assert found.law.known() == before
    assert _forbidden(found, "a@example.com")
    assert not _forbidden(found, "b@example.com"), "a later grant stands after the objection"
    (entry,) = found.ledger.audit.list("person.erase")
    assert entry.target == "g-ann"
    package = small_lake["land"](found, "crm", small_lake["CRM"])
    assert package.suppressed == 1, "who was erased does not land again"
    assert found.law.copy() == 0
    found.ledger.close()


@on_disk
def test_wishes_recorded_since_the_loss_come_after_the_older_ones(installation: Installation) -> None:
    installation.ledger.wishes.add([_wish(installation, f"{n}@example.com") for n in "abc"], "test")
    installation.law.copy()
    lost = _lose(installation)
    with Ledger.open(lost.settings.ledger, lost.clock) as ledger:  # a replica that went on
        ledger.wishes.add([_wish(lost, "a@example.com", "GRANTED"), _wish(lost, "d@example.com")], "test")
    with pytest.raises(Conflict, match="lacks 3 wishes"):
        _ = lost.ledger
    found = _rebuilt(lost)
    listed = [(w.id, w.state) for w in found.ledger.wishes.listed()]
    assert listed == [(1, "REVOKED"), (2, "REVOKED"), (3, "REVOKED"), (4, "GRANTED"), (5, "REVOKED")]
    assert [_forbidden(found, f"{n}@example.com") for n in "abcd"] == [False, True, True, True]
    assert len(found.law.known().wishes) == 5
    assert found.law.rebuild() == {"wishes": 0, "suppressed": 0, "erasures": 0}


@on_disk
def test_an_older_copy_of_the_ledger_is_noticed(installation: Installation) -> None:
    root = installation.settings.root
    installation.ledger.wishes.add([_wish(installation, "a@example.com")], "test")
    for n in range(5):
        installation.ledger.audit.add("test", "other", str(n))
    installation.law.copy()
    installation.ledger.settle()
    installation.ledger.close()
    shutil.copy(root / "ledger.db", root.parent / "old.db")
    newer = Installation(installation.settings)
    newer.ledger.wishes.add([_wish(newer, "b@example.com")], "test")
    newer.ledger.suppression.add([Suppressed("f" * 32, "email")], "erasure")
    newer.ledger.audit.add("test", "person.erase", "g-1", {})
    newer.law.copy()
    lost = _lose(newer)
    shutil.copy(root.parent / "old.db", root / "ledger.db")
    with pytest.raises(Conflict, match="lacks 1 wishes, 1 suppressed, 1 erasures"):
        _ = lost.ledger
    found = _rebuilt(lost)
    assert _forbidden(found, "b@example.com")
    assert [e.action for e in reversed(found.ledger.audit.list())] == ["other"] * 5 + ["person.erase"]
    assert found.ledger.suppression.contains(["f" * 32])


@on_disk
def test_another_secret_is_refused(installation: Installation) -> None:
    installation.law.copy()
    installation.ledger.close()
    secret = installation.settings.root / "secret"
    kept = secret.read_text()
    secret.unlink()
    with pytest.raises(Conflict, match="secret is not the one"):
        _ = Installation(installation.settings).ledger
    secret.write_text(kept)
    assert Installation(installation.settings).ledger.wishes.listed() == []


@on_disk
def test_many_small_objects_become_one(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(law_module, "_FOLD", 5)
    law, objects = installation.law, installation.lake.objects
    for n in range(7):
        installation.ledger.wishes.add([_wish(installation, f"{n}@example.com")], "test")
        assert law.copy() == 1
    before = law.known()
    assert len(objects.keys("law/wishes")) == 7
    kept = objects.get(objects.keys("law/wishes")[0])
    assert law.fold() == 6
    assert law.known() == before
    objects.put("law/wishes/000000000001.json", kept or b"")  # killed before it went
    assert law.known() == before
    law.require()
    assert law.copy() == 0


@on_disk
def test_wishes_recorded_since_the_loss_keep_their_order(installation: Installation) -> None:
    law, book = installation.law, installation.ledger.wishes
    book.add([_wish(installation, "a@example.com")], "test")
    law.copy()
    with Ledger.open(_lose(installation).settings.ledger, installation.clock) as ledger:
        ledger.wishes.add([_wish(installation, "b@example.com", "GRANTED")], "test")
        ledger.wishes.add([_wish(installation, "b@example.com", "REVOKED")], "test")
    found = _rebuilt(installation)
    assert _forbidden(found, "a@example.com") and _forbidden(found, "b@example.com")


@pytest.mark.needs_postgres
@on_disk
def test_rebuilt_in_postgresql_its_numbers_go_on(installation: Installation, postgres: str) -> None:
    installation.ledger.wishes.add([_wish(installation, f"{n}@example.com") for n in "abc"], "test")
    installation.law.copy()
    engine = create_engine(postgres)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    with Ledger.open(postgres, installation.clock) as ledger:
        installation.law_of(ledger).rebuild()
        ledger.wishes.add([_wish(installation, "d@example.com")], "test")
        assert [w.id for w in ledger.wishes.listed()] == [1, 2, 3, 4]


@on_disk
def test_a_ledger_without_any_backup_is_rebuilt_from_the_lake(filled: Installation, small_lake: Any) -> None:
    packages = filled.ledger.packages.list()
    filled.ledger.wishes.add([_wish(filled, "bob@example.com")], "test")
    erase(filled, "g-ann", filled.clock.now())
    filled.law.copy()
    with pytest.raises(Conflict, match="--ledger-from-lake"):
        _ = _lose(filled).ledger
    added = ledger_from_lake(Installation(filled.settings))
    assert added["erasures"] == 1
    assert added["packages"] == len(packages)
    found = Installation(filled.settings)
    assert sorted(p.package_id for p in found.ledger.packages.list()) == sorted(p.package_id for p in packages)
    subject = ("email", found.keyed_hash.of("email", "bob@example.com"))
    assert found.ledger.wishes.standing().forbidding([subject], "marketing", "email")
    assert small_lake["land"](found, "crm", small_lake["CRM"] | {"card": ["a", "b", "c"]}).suppressed == 1
    found.ledger.close()
