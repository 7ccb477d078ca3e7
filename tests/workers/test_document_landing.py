"""Media files end as documents: landed once, incrementally, whole after a kill, tied to their person."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onefold_storage.documents import key_of, stored
from onefold_storage.erasure import erase
from onefold_storage.places import undeclared


@pytest.fixture(scope="module")
def lake() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("document_lake.py"))))


def _counts(landed: Any) -> list[tuple[int, int, int, int]]:
    assert not landed.errors
    return [(p.sent, p.landed, p.failed, p.repeated) for p in landed.packages]


def test_calls_land_once_and_follow_their_person(lake: Any, make: Any, tmp_path: Path) -> None:
    home = lake.open_home(tmp_path / "home")
    first = make.wav(1.5)
    lake.put(
        home,
        "calls/+442079460101/a.wav",
        first,
        agent="Desk 4",
        text="Good morning",
        created_at="2018-03-04T10:00:00",
    )
    lake.put(home, "calls/+442079460102/b.wav", first)
    assert _counts(lake.land(home, "calls")) == [(2, 2, 0, 0)]
    lake.integrate(home)
    ann, bob = lake.documents(home)
    key = key_of(hashlib.sha256(first).hexdigest())
    assert ann["object"] == bob["object"] == key
    assert list(stored(home.lake.objects)) == [key], "one content is one object"
    assert home.lake.objects.get(key) == first
    assert ann["contact_key"] == "calls:+442079460101"
    assert (ann["media_type"], ann["text"], ann["effective_at"].isoformat()) == (
        "audio/wav", "Good morning", "2018-03-04T10:00:00+00:00",
    )  # fmt: skip
    assert json.loads(ann["facts"])["duration_s"] == 1.5
    records = home.lake.scan("silver/contact_records").collect()
    assert set(records.filter(source="calls")["phone"]) == {"+442079460101", "+442079460102"}
    assert not [k for k in home.lake.objects.keys("") if "442079460101" in k], "keys say nothing about people"
    manifests = b"".join(home.lake.objects.get(k) or b"" for k in home.lake.objects.keys("packages"))
    assert b"2079460101" not in manifests
    assert undeclared(home) == []

    assert lake.land(home, "calls").packages == (), "nothing new is nothing to do"
    lake.put(home, "calls/+442079460101/c.wav", make.wav(2.5))
    assert _counts(lake.land(home, "calls")) == [(1, 1, 0, 0)]
    lake.put(home, "calls/+442079460102/b.wav", make.wav(0.5))
    assert _counts(lake.land(home, "calls")) == [(1, 1, 0, 0)]
    lake.put(home, "calls/+442079460102/b.wav", make.wav(0.5), agent="Desk 5")
    assert _counts(lake.land(home, "calls")) == [(1, 1, 0, 0)], "what is said of a file changed"
    path = home.settings.workspace_folder / "calls/+442079460101/c.wav"
    os.utime(path, (1, 1))
    assert _counts(lake.land(home, "calls")) == [(1, 0, 0, 1)], "touched, and still the same"
    lake.integrate(home)
    assert len(lake.documents(home)) == 5
    assert len(stored(home.lake.objects)) == 3

    receipt = erase(home, "g-ann", lake.NOW)
    assert receipt.complete
    assert set(stored(home.lake.objects)) == {key, key_of(hashlib.sha256(make.wav(0.5)).hexdigest())}
    assert {r["contact_key"] for r in lake.documents(home)} == {"calls:+442079460102"}
    lake.put(home, "calls/+442079460101/d.wav", make.wav(3.5))
    (again,) = lake.land(home, "calls").packages
    assert (again.landed, again.suppressed) == (0, 1)
    assert len(stored(home.lake.objects)) == 2, "nothing of an erased person is stored again"


def test_every_kind_of_file_and_every_bad_one_is_accounted_for(lake: Any, make: Any, tmp_path: Path) -> None:
    home = lake.open_home(tmp_path / "home")
    files = {
        "a.jpg": make.photo(), "b.png": make.photo("PNG"), "c.heic": make.heic(), "d.mp3": make.mp3(),
        "e.mp4": make.mp4(), "f.webm": make.webm(), "g.pdf": make.pdf(), "h.bin": b"\x00\x01\x02", "i.pdf": b"%PDF-1.7 no",
    }  # fmt: skip
    for name, data in files.items():
        lake.put(home, f"papers/{name}", data, mail="ann@example.com", topic=["x", 1])
    lake.put(home, "papers/j.jpg", make.photo(seed=7))
    broken = lake.put(home, "papers/k.jpg", make.photo(seed=8), mail="x")
    broken.with_name("k.jpg.json").write_text("{no")
    landed = lake.land(home, "papers")
    assert _counts(landed) == [(3, 3, 0, 0), (3, 3, 0, 0), (3, 3, 0, 0), (2, 0, 2, 0)]
    assert "calls" not in str(landed)
    assert "sidecar" in str(landed.packages[-1].message) or "mail" in str(landed.packages[-1].message)
    lake.integrate(home)
    found = {r["record_key"].rsplit("/", 1)[1]: r for r in lake.documents(home)}
    assert set(found) == set(files)
    assert {n: r["object"] for n, r in found.items()} == {
        n: key_of(hashlib.sha256(d).hexdigest()) for n, d in files.items()
    }
    assert found["g.pdf"]["text"] == "Invoice 4711 for Ann\n\nThank you"
    assert found["a.jpg"]["effective_at"].isoformat() == "2018-03-04T09:11:12+00:00"
    assert json.loads(found["e.mp4"]["facts"])["width"] == 1280
    rows = {r["path"]: r for r in home.lake.scan("bronze/papers").collect().to_dicts()}
    assert "none that facts are read of" in rows["papers/h.bin"]["problem"]
    assert "cannot be read as PDF" in rows["papers/i.pdf"]["problem"]
    assert rows["papers/a.jpg"]["topic"] == '["x",1]'
    assert len(stored(home.lake.objects)) == 11, "objects of failed events are kept with them"
    failed = home.lake.scan("bronze/failed_events").collect().to_dicts()
    assert {f["rule"] for f in failed} == {"required", "sidecar"}
    assert not any("papers/" in f["message"].replace("papers/**/*", "") for f in failed)

    broken.with_name("k.jpg.json").write_text('{"mail": "bob@example.com"}')
    assert _counts(lake.land(home, "papers")) == [(1, 1, 0, 0)], "mended, and read again"


def test_killed_in_the_middle_nothing_lands_twice(lake: Any, make: Any, tmp_path: Path) -> None:
    home = lake.open_home(tmp_path / "home")
    data = [make.photo("PNG", seed=n) for n in range(9)]
    for n, photo in enumerate(data):
        lake.put(home, f"papers/{n:02}.png", photo, mail="ann@example.com")
    program = str(Path(__file__).with_name("document_program.py"))
    context = multiprocessing.get_context("spawn")
    for die_at in (1, 5, None):
        given = {"home_of_run": str(tmp_path / "home"), "die_at": die_at}
        process = context.Process(target=runpy.run_path, args=(program,), kwargs={"init_globals": given})
        process.start()
        process.join(300)
        assert process.exitcode == (0 if die_at is None else -9)
        named = {r["object"] for r in _bronze(home)}
        assert named <= stored(home.lake.objects).keys(), "an object is there before its row"
    rows = _bronze(home)
    assert sorted(r["path"] for r in rows) == [f"papers/{n:02}.png" for n in range(9)]
    assert {k: home.lake.objects.get(k) for k in stored(home.lake.objects)} == {
        key_of(hashlib.sha256(d).hexdigest()): d for d in data
    }
    assert lake.land(home, "papers").packages == ()


def _bronze(home: Any) -> list[dict[str, Any]]:
    if not home.lake.exists("bronze/papers"):
        return []
    rows: list[dict[str, Any]] = home.lake.scan("bronze/papers").collect().to_dicts()
    return rows
