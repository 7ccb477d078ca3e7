"""Erasure: one of three people goes from every object; the others stay; the person does not land again."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import zlib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from minio import Minio
from minio.versioningconfig import ENABLED, VersioningConfig

from onefold_storage import erasers, erasure
from onefold_storage.buckets import prepare
from onefold_storage.erasure import erase, erase_all
from onefold_storage.errors import NotFound
from onefold_storage.installation import Installation
from onefold_storage.person import identifiers_of
from onefold_storage.places import undeclared
from onefold_storage.rescanning import rescan
from onefold_storage.schema import CONTACT_RECORDS
from onefold_storage.settings import StorageSettings
from onefold_storage.terms import Terms, carried
from onefold_storage.unfinished import begun

NOW = datetime(2018, 1, 1, tzinfo=UTC)
ANN = ("annabel", "crm:1'", "crm:1#", "ann-1", "card-0001")
"""What nobody but the erased person has, in lower case; with the quote that ends the record key in a row's text."""


def everything(installation: Installation) -> dict[str, str]:
    """Every file of the home, decoded by other means than the code under test: DuckDB, sqlite3, plain reading.

    Of a bucket every object and every old version of it is fetched for that.
    """
    with tempfile.TemporaryDirectory() as copies:
        folders = [installation.settings.root]
        if not installation.lake.objects.local:
            fetch_all(installation.settings, Path(copies) / "lake")
            folders.append(Path(copies))
        return {str(path.relative_to(f)): _text(path) for f in folders for path in sorted(f.rglob("*"))}


def fetch_all(settings: StorageSettings, folder: Path) -> None:
    bucket, prefix = settings.lake.removeprefix("s3://").split("/", 1)
    assert settings.s3_endpoint and settings.s3_secret_key
    server, secret = settings.s3_endpoint.removeprefix("http://"), settings.s3_secret_key.get_secret_value()
    client = Minio(server, access_key=settings.s3_access_key, secret_key=secret, secure=False)
    for n, item in enumerate(client.list_objects(bucket, f"{prefix}/", recursive=True, include_version=True)):
        name = str(item.object_name).removeprefix(f"{prefix}/")
        if not item.is_delete_marker:
            old = "" if item.is_latest == "true" else f".old-{n}"
            client.fget_object(
                bucket, str(item.object_name), str(folder / f"{name}{old}"), version_id=item.version_id
            )


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    data = path.read_bytes()
    if data[:4] == b"PAR1":
        return repr(
            duckdb.sql(f"SELECT * FROM read_parquet('{path}', hive_partitioning = false)").fetchall()
        ).lower()
    if data[:6] == b"SQLite":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            names = [n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = [r for n in names for r in database.execute(f'SELECT * FROM "{n}"')]
        return repr([[_plain(v) for v in r] for r in rows]).lower()
    return data.decode("utf-8", "replace").lower()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        try:
            return zlib.decompress(value)
        except zlib.error:
            return value
    return value


def holding(installation: Installation, *terms: str) -> list[str]:
    return [name for name, text in everything(installation).items() if any(t in text for t in terms)]


def test_an_erased_person_is_in_no_object_and_the_others_are_as_they_were(filled: Installation) -> None:
    before = holding(filled, *ANN)
    kinds = {"bronze", "silver", "identity", "gold", "work", "publications", "ledger.db"}
    assert kinds <= {n.removeprefix("lake/").split("/")[0] for n in before}, "the search finds what is there"
    assert any("failed_events" in n for n in before)
    others = {
        name: filled.lake.scan(name).filter(~_of_ann(name, filled.lake.scan(name))).collect()
        for name in filled.lake.names()
    }

    receipt = erase(filled, "g-ann", NOW)

    assert holding(filled, *ANN) == []
    assert receipt.complete
    for name, rows in others.items():
        keys = rows.columns[: min(len(rows.columns), 6)]
        kept = filled.lake.scan(name).collect()
        assert kept.sort(keys).to_dicts() == rows.sort(keys).to_dicts(), name
    assert len(holding(filled, "bob@example.com")) >= 3
    assert len(holding(filled, "cyril")) >= 5
    assert filled.lake.rows("bronze/crm") == 2
    assert filled.lake.rows("bronze/visits") == 2
    assert filled.lake.rows("silver/contact_records") == 3
    assert filled.lake.rows("gold/scores") == 2
    assert undeclared(filled) == []


def _of_ann(name: str, rows: pl.LazyFrame) -> pl.Expr:
    """What of a table is hers, told from the test's own data."""
    names = rows.collect_schema().names()
    if "golden_id" in names and name != "identity/history":
        return pl.col("golden_id") == "g-ann"
    if name == "bronze/failed_events":
        return pl.col("raw").cast(pl.String).str.to_lowercase().str.contains("annabel")
    hers = {"bronze/crm": ("id", "1"), "bronze/news": ("key", "ann-1"), "bronze/visits": ("who", 1)}
    if name in hers:
        column, value = hers[name]
        return pl.col(column) == value
    if name == "silver/consents":
        return pl.col("record_key").str.contains("^crm:1#|^news:ann-1#")
    keys = [c for c in ("record_key", "contact_key", "left_key") if c in names]
    return pl.any_horizontal(
        pl.lit(False), *(pl.col(c).is_in(["crm:1", "news:ann-1"]).fill_null(False) for c in keys)
    )


def test_the_receipt_counts_by_place_holds_nobody_and_is_kept(filled: Installation) -> None:
    receipt = erase(filled, "g-old", NOW, actor="officer")
    assert receipt.golden_id == "g-ann", "a merged ID is erased as its survivor"
    expected = {
        "bronze/crm": 1,
        "bronze/news": 1,
        "bronze/visits": 2,
        "bronze/failed_events": 2,
        "silver/consents": 2,
    }
    expected |= {"silver/contact_records": 2, "silver/interactions": 2, "identity/links": 2, "identity/edges": 1}
    expected |= {
        "gold/customers": 1,
        "gold/permissions": 1,
        "gold/scores": 1,
        "gold/segments": 1,
        "publications/*": 3,
        "work/*": 2,
        "wishes": 1,
    }
    assert {k: v for k, v in receipt.places.items() if v} == expected
    assert receipt.shared == 1, "the phone is Bob's too"
    assert receipt.suppressed == 4, "email, card and two record keys"
    assert receipt.scanned > 20
    (entry,) = filled.ledger.audit.list("person.erase")
    assert (entry.actor, entry.target) == ("officer", "g-ann")
    assert entry.detail is not None
    assert entry.detail["places"] == receipt.places
    assert not any(t in json.dumps(entry.detail).lower() for t in (*ANN, "smith", "example", "0101"))


def test_the_person_does_not_land_again_and_the_others_do(filled: Installation, small_lake: dict[str, Any]) -> None:
    erase(filled, "g-ann", NOW)
    changed = small_lake["CRM"] | {"last": ["Smith", "Smythe", "Jones"]}
    again = small_lake["land"](filled, "crm", changed, b"9;ANNABEL@example.com;x")
    assert (again.sent, again.landed, again.repeated, again.failed, again.suppressed) == (4, 1, 1, 0, 2)
    visits = small_lake["land"](filled, "visits", {"who": ["1", "2"], "note": ["again", "again"]})
    assert (visits.landed, visits.suppressed) == (1, 1)
    anonymous = small_lake["land"](filled, "news", {"key": ["ann-1"], "mail": [None], "may": ["GRANTED"]})
    assert anonymous.suppressed == 1, "by its record key"
    assert holding(filled, "annabel") == []
    shared = small_lake["land"](filled, "crm", {k: [*v, None] for k, v in changed.items()} | {
        "id": ["1", "2", "3", "4"], "phone": [*changed["phone"], "020 7946 0101"]
    })  # fmt: skip
    assert (shared.landed, shared.suppressed) == (1, 1), "somebody else with the household's phone lands"


def test_rows_that_landed_and_were_not_yet_mapped_or_resolved_go_too(
    filled: Installation, small_lake: dict[str, Any]
) -> None:
    small_lake["land"](
        filled,
        "news",
        {"key": ["new-7", "new-8"], "mail": ["ANNABEL@example.com", "dora@example.com"], "may": ["GRANTED"] * 2},
    )
    erase(filled, "g-ann", NOW)
    assert sorted(filled.lake.scan("bronze/news").collect()["key"]) == ["cyr-1", "new-8"]
    small_lake["land"](filled, "news", {"key": ["new-9"], "mail": ["bob@example.com"], "may": ["GRANTED"]})
    small_lake["map_to_silver"](filled, "news")
    erase(filled, "g-bob", NOW)
    assert "news:new-9" not in filled.lake.read("silver/contact_records").column("record_key").to_pylist()
    assert holding(filled, "bob@example.com") == []


def test_once_both_of_a_household_are_gone_their_phone_is_too(
    filled: Installation, small_lake: dict[str, Any]
) -> None:
    assert erase(filled, "g-ann", NOW).shared == 1
    second = erase(filled, "g-bob", NOW)
    assert second.shared == 0
    assert second.complete
    assert holding(filled, "7946 0101", "79460101") == []
    assert (
        small_lake["land"](
            filled, "crm", {**{k: [None] for k in small_lake["CRM"]}, "id": ["9"], "phone": ["02079460101"]}
        ).suppressed
        == 1
    )


@pytest.mark.parametrize(("step", "after"), [("rewrite", 0), ("rewrite", 9), ("sweep", 0), ("sweep", 11)])
def test_an_erasure_that_was_cut_off_is_run_again(
    step: str, after: int, filled: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = erasers if step == "rewrite" else erasure
    original, left = getattr(module, step), after

    def cut(*args: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return original(*args, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, step, cut)
        erase(filled, "g-ann", NOW)
    assert begun(filled.lake.objects) == ["g-ann"]
    receipt = erase(filled, "g-ann", NOW)
    assert receipt.complete
    assert (receipt.suppressed, receipt.shared, receipt.resumed) == (4, 1, True), "it still knows who she was"
    assert holding(filled, *ANN) == []
    assert begun(filled.lake.objects) == []


def test_what_an_erasure_left_is_found_by_the_next_one_too(filled: Installation) -> None:
    filled.lake.objects.put("packages/stray.json", b'{"who": "annabel@example.com"}')
    for resumed in (False, True):
        receipt = erase(filled, "g-ann", NOW)
        assert (receipt.left, receipt.resumed) == (("packages/stray.json",), resumed)
    filled.lake.objects.delete("packages/stray.json")
    assert erase(filled, "g-old", NOW).complete
    assert holding(filled, *ANN) == []


def test_several_people_go_in_one_pass_with_a_receipt_each(
    filled: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.lake.objects.put("packages/stray.json", b'{"who": "bob@example.com"}')
    swept: list[str] = []
    original: Any = erasure.sweep
    monkeypatch.setattr(
        erasure, "sweep", lambda lake, name, *a, **k: swept.append(name) or original(lake, name, *a, **k)
    )
    ann, bob = erase_all(filled, ["g-ann", "g-bob", "g-old", "g-ann"], NOW, actor="officer")
    assert len(swept) == len(set(swept)), "each table once"
    assert (ann.golden_id, ann.left, bob.golden_id, bob.left) == ("g-ann", (), "g-bob", ("packages/stray.json",))
    assert (ann.suppressed, ann.shared, bob.suppressed, bob.shared) == (5, 0, 4, 0), "their phone is nobody else's"
    assert ann.places == bob.places
    assert (ann.places["bronze/crm"], ann.together, bob.together) == (2, 2, 2)
    filled.lake.objects.delete("packages/stray.json")
    assert erase(filled, "g-bob", NOW).complete
    assert holding(filled, *ANN, "79460101", "7946 0101", "bob@example.com") == []
    assert {e.target for e in filled.ledger.audit.list("person.erase")} == {"g-ann", "g-bob"}
    assert filled.lake.rows("bronze/crm") == 1
    with pytest.raises(NotFound):
        erase_all(filled, ["g-cyril", "g-nobody"], NOW)
    assert filled.lake.rows("bronze/crm") == 1, "nobody goes where one is not known"


def test_a_number_that_is_another_customers_attribute_is_theirs_too(filled: Installation) -> None:
    records = filled.lake.read("silver/contact_records").to_pylist()
    for record in records:
        if record["record_key"] == "crm:2":
            record["attributes"] = '{"home_phone": "(020) 7946.0999", "mother": "jo.cyril@example.org"}'
    filled.lake.replace("silver/contact_records", pa.Table.from_pylist(records, CONTACT_RECORDS.arrow))
    receipt = erase(filled, "g-cyril", NOW)
    assert (receipt.shared, receipt.suppressed) == (1, 4), "his phone is Bob's at home; his email is nobody else's"
    assert receipt.left == ()
    texts = pl.Series(["so 020 7946 0999", None])
    assert carried(texts, {("phone", "079460999")}) == {("phone", "079460999")}
    assert carried(texts, {("email", "ann@x.org"), ("card", "079460999")}) == carried(texts, set()) == set()


def test_erasing_twice_and_erasing_nobody(filled: Installation) -> None:
    erase(filled, "g-ann", NOW)
    again = erase(filled, "g-old", NOW)
    assert again.complete
    assert set(again.places.values()) == {0}
    assert (again.scanned, again.suppressed) == (0, 0), "nothing is known of her to search for, and it says so"
    with pytest.raises(NotFound, match="g-nobody: no customer"):
        erase(filled, "g-nobody", NOW)


def test_the_rescan_sees_through_compression_and_formats(filled: Installation) -> None:
    terms = Terms.of(
        {("email", "annabel@example.com"), ("phone", "079460999"), ("record", "crm:2"), ("card", "CARD-0003")}
    )
    scanned, found = rescan(filled.lake.objects, Terms.of({("email", "annabel@example.com")}))
    assert scanned == len(filled.lake.objects.keys(""))
    assert {k.split("/")[0] for k in found} == {"bronze", "silver", "gold", "publications"}
    for text in (
        "Mail ANNABEL@EXAMPLE.COM!",
        '{"k":"crm:2"}',
        "020 7946-0999",
        "+44 (0)20 79460999",
        "x CARD-0003",
    ):
        assert terms.found_in(text), text
    for text in ("...annabel@example.com.", "<annabel@example.com>", "mailto:annabel@example.com?x", "'crm:2'"):
        assert terms.found_in(text), text
    assert not Terms.of({("customer", "104711")}).found_in("104711"), "an amount, or a postcode"
    for text in ("jo.annabel@example.com", "jo+annabel@example.com", "annabel@example.com.au", "CARD-0003-B"):
        assert not terms.found_in(text), f"somebody else's: {text}"
    for text in ("joannabel@example.com", "crm:22", "scrm:2", "0794609990", "CARD-00031", ""):
        assert not terms.found_in(text), text


@pytest.fixture
def versioned(minio: Any) -> dict[str, Any]:
    """Settings of a lake in a bucket that somebody versioned."""
    settings: dict[str, Any] = minio.settings("versioned")
    administrator = StorageSettings(**settings, **minio.root())
    prepare(administrator)
    server = minio.endpoint.removeprefix("http://")
    client = Minio(server, access_key=minio.root_user, secret_key=minio.root_password, secure=False)
    client.set_bucket_versioning("versioned", VersioningConfig(ENABLED))
    assert "versioning" in str(prepare(administrator).warning)
    return settings


@pytest.mark.parametrize("stored", [pytest.param("versioned", marks=pytest.mark.needs_minio)], indirect=True)
def test_a_bucket_that_somebody_versions_keeps_no_old_version_of_the_person(filled: Installation) -> None:
    objects = filled.lake.objects
    objects.put("work/customers/note.txt", b"annabel@example.com")
    objects.put("work/customers/note.txt", b"nobody")
    objects.put("work/customers/gone.txt", b"annabel@example.com")
    objects.delete("work/customers/gone.txt")
    assert len([n for n in holding(filled, "annabel@example.com") if ".old-" in n]) == 2, "the old ones are found"
    receipt = erase(filled, "g-ann", NOW)
    assert (receipt.complete, receipt.versions > 2) == (True, True)
    assert holding(filled, *ANN) == []
    assert not [n for n in everything(filled) if ".old-" in n]
    assert objects.keys("work") == [], "what was deleted did not come back"
    assert filled.lake.rows("bronze/crm") == 2


def test_an_object_that_nobody_erases_is_found_by_the_rescan(filled: Installation) -> None:
    stray = BytesIO()
    pl.DataFrame({"x": [["me: annabel@example.com"]]}).write_parquet(stray)
    filled.lake.objects.put("packages/stray.parquet", stray.getvalue())
    receipt = erase(filled, "g-ann", NOW)
    assert receipt.left == ("packages/stray.parquet",)
    assert not receipt.complete


def test_a_record_with_several_external_ids_is_known_by_each() -> None:
    ids = [
        [{"scheme": "card", "value": "1"}, {"scheme": "user", "value": " u "}],
        None,
        [],
        [{"scheme": "card", "value": "2"}],
    ]
    kind = pl.List(pl.Struct({"scheme": pl.String, "value": pl.String}))
    frame = pl.DataFrame({"record_key": ["a", "b", "c", "d"], "email": ["A@x.org", None, None, None]})
    frame = frame.with_columns(phone=pl.lit(None, pl.String), external_ids=pl.Series(ids, dtype=kind))
    found = identifiers_of(frame.lazy()).collect().rows()
    assert sorted(found) == [("a", "card", "1"), ("a", "email", "a@x.org"), ("a", "user", "u"), ("d", "card", "2")]
