"""Serving follows the pointer: swaps whole, and keeps the last good publication whatever comes."""

from __future__ import annotations

import gc
import logging
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from onefold.serving import Ranking, Serving
from onefold_storage.errors import Unavailable
from onefold_storage.keyed_hash import KeyedHash


def _serving(home: Any, tmp_path: Path) -> Serving:
    return Serving(home.publications, home.ledger.wishes, home.hashed, tmp_path / "cache")


def test_before_the_first_publication_there_is_nothing(home: Any, tmp_path: Path) -> None:
    serving = _serving(home, tmp_path)
    assert serving.refresh() is False and serving.version is None and serving.problem is None
    with pytest.raises(Unavailable, match="onefold refresh"):
        serving.view()


def test_a_new_publication_takes_the_place_of_the_old(published: Any, made_up: ModuleType, tmp_path: Path) -> None:
    serving = _serving(published, tmp_path)
    assert serving.refresh() and not serving.refresh()
    old = serving.view()
    version = published.publish(made_up.gold_frames(210), made_up.facts()).version
    assert serving.refresh() and serving.version == version
    assert serving.view().snapshot.counts["customers"] == 210
    assert old.snapshot.counts["customers"] == 200 and old.snapshot.number("g0000003") is not None


def test_a_damaged_publication_does_not_replace_the_good_one(
    published: Any, made_up: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serving = _serving(published, tmp_path)
    serving.refresh()
    good = serving.version
    bad = published.publish(made_up.gold_frames(210), made_up.facts())
    file = Path(published.storage.lake) / "publications" / bad.version / "serving.sqlite"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    with caplog.at_level(logging.ERROR):
        assert not serving.refresh() and not serving.refresh()
    assert serving.version == good and "checksum" in str(serving.problem)
    assert len([r for r in caplog.records if "cannot be served" in r.message]) == 1
    assert serving.view().snapshot.number("g0000003") is not None
    file.write_bytes(whole)
    assert serving.refresh() and serving.version == bad.version and serving.problem is None


def test_a_pointer_to_nowhere_keeps_the_good_one(published: Any, tmp_path: Path) -> None:
    serving = _serving(published, tmp_path)
    serving.refresh()
    good = serving.version
    for content in (b'{"version":"000099-gone","previous":[]}', b"not json", b"{}"):
        (Path(published.storage.lake) / "publications" / "current.json").write_bytes(content)
        assert not serving.refresh() and serving.version == good and serving.problem


def test_another_installations_secret_serves_nothing(published: Any, tmp_path: Path) -> None:
    serving = Serving(published.publications, published.ledger.wishes, KeyedHash(b"another secret 00"), tmp_path)
    assert not serving.refresh() and "secret" in str(serving.problem)
    with pytest.raises(Unavailable, match="see the log"):
        serving.view()


def test_readers_never_see_a_mixture(published: Any, made_up: ModuleType, tmp_path: Path) -> None:
    serving = _serving(published, tmp_path)
    serving.refresh()
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            view = serving.view()
            (found,) = view.snapshot.query("SELECT count(*) FROM customers")[0]
            if found != view.snapshot.counts["customers"] or view.objections.snapshot is not view.snapshot:
                wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(6):
        published.publish(made_up.gold_frames(20 + n, interactions=1), made_up.facts())
        serving.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_was_withdrawn_is_served_no_more_and_leaves_nothing_open(
    published: Any, made_up: ModuleType, tmp_path: Path
) -> None:
    serving = _serving(published, tmp_path)
    serving.refresh()
    (tmp_path / "cache").mkdir()
    view = serving.view()
    use = view.snapshot.uses["marketing", "email"]
    assert view.lists.page(Ranking("churn", use), view.objections, 0, 5).rows
    gc.disable()  # what is left open must not depend on when garbage is collected
    try:
        published.publications._objects.delete_below("publications")
        assert serving.refresh() and serving.version is None and not (tmp_path / "cache").exists()
        with pytest.raises(Unavailable, match="nothing is published"):
            serving.view()
        del view
        held = [str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
        assert not [name for name in held if str(published.storage.root / "lake") in name]
    finally:
        gc.enable()
    published.publish(made_up.gold_frames(20), made_up.facts())
    assert serving.refresh() and serving.view().snapshot.counts["customers"] == 20


def test_names_are_found_by_either_spelling(published: Any, made_up: ModuleType, tmp_path: Path) -> None:
    """As identity takes ä for ae and ß for ss; the way it was written comes first, and other names stay out."""
    gold = made_up.gold_frames(8, interactions=1)
    families = ["Jäger", "Jaeger", "Weiß", "Weiss", "Bauer", "Baur", "Großmüller", "Mueller"]
    published.publish(replace(gold, customers=gold.customers.with_columns(family_name=pl.Series(families))), {})
    serving = _serving(published, tmp_path)
    serving.refresh()
    snapshot = serving.view().snapshot

    def named(text: str) -> list[str]:
        return [snapshot.body(n)["profile"]["family_name"] for n in snapshot.named(text, 10)]

    assert named("Jäger") == ["Jäger", "Jaeger"]
    assert named("jaeger") == named("JAEGER") == ["Jaeger", "Jäger"]
    assert named("jaeg") == ["Jaeger", "Jäger"]
    assert set(named("weiß")) == set(named("Weiss")) == {"Weiß", "Weiss"}
    assert named("grossmueller") == named("Grossmüller") == named("großmu\u0308ll") == ["Großmüller"]
    assert named("müller") == ["Mueller"]
    assert named("bauer") == ["Bauer"]
