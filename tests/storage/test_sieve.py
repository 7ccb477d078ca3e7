"""The sieve before the keyed hash spares work and changes nothing: with it and without, the same rows are left out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.contracts import parse
from onefold_storage.identifiers import identifiers
from onefold_storage.installation import Installation
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.settings import StorageSettings
from onefold_storage.sieve import RECORD, Sieve, mark, marks
from onefold_storage.suppression import Listed, Suppressed
from onefold_storage.suppressor import Lookup
from onefold_storage.texts import Texts

NOW = datetime(2018, 1, 1, tzinfo=UTC)
KEYED = KeyedHash(b"a secret of this test")
CONTRACT = parse(
    """
kind: DataContract
apiVersion: v3.1.0
id: people
version: 1.0.0
status: active
schema:
  - name: people
    logicalType: object
    properties:
      - {name: id, logicalType: string, primaryKey: true}
      - {name: mail, logicalType: string, customProperties: [{property: onefold, value: {kind: email}}]}
      - {name: phone, logicalType: string, customProperties: [{property: onefold, value: {kind: phone}}]}
      - {name: card, logicalType: integer, customProperties: [{property: onefold, value: {kind: external_id, scheme: card}}]}
      - {name: shop, logicalType: string}
      - {name: till, logicalType: integer}
customProperties:
  - property: onefold
    value:
      {location: x, lawful_basis: contract, data_use: [service],
       maps: [{table: contact_records}, {table: interactions, key: [id], contact: {key: [shop, till], source: tills}}]}
""",
    "people.yaml",
)
_mails = st.sampled_from(["ann@x.example", "Ann@X.example", " ann@x.example", "ÉVA@x.example", "éva@x.example", ""])
_phones = st.sampled_from(
    ["+49151234567", "0151 234-567", "151234567", "1512345678", "٠١٥١٢٣٤٥٦٧", "+1+5", "7", "++"]
)
_ids = st.sampled_from(["7", "7.0", " 7", "07", "A-1", "a-1", "x.0", "é", "a" * 40, "a" * 20 + "b" + "a" * 19])
_rows = st.fixed_dictionaries(
    {
        "id": _ids | st.text(max_size=3),
        "mail": st.none() | _mails | st.emails(),
        "phone": st.none() | _phones | st.text("0123456789+ -/()", max_size=15),
        "card": st.none() | st.integers(-(2**40), 2**40),
        "shop": st.none() | _ids,
        "till": st.none() | st.integers(0, 9),
    }
)
SCHEMA = pa.schema([("id", pa.string()), ("mail", pa.string()), ("phone", pa.string()), ("card", pa.int64()),
                    ("shop", pa.string()), ("till", pa.int64())])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(_rows, min_size=1, max_size=8), st.data())
def test_the_same_rows_are_left_out_with_it_and_without(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    known = {(s, v) for s, values in identifiers(CONTRACT, frame) for v in values.drop_nulls()}
    listed = [
        *sorted(known)[:: data.draw(st.integers(1, 3))],
        ("email", "nobody@x.example"),
        (RECORD, "people:gone"),
    ]
    hashes = frozenset(KEYED.of(s, v) for s, v in listed)
    sieved = Lookup(Listed(hashes, tuple(marks(KEYED, listed))), KEYED).suppressed(CONTRACT, table)
    hashed = Lookup(Listed(hashes, None), KEYED).suppressed(CONTRACT, table)
    cut = Lookup(Listed(hashes, tuple(marks(KEYED, listed))), KEYED).suppressed(CONTRACT, table.slice(1))
    none = [False] * len(rows)
    assert (sieved.to_pylist() if sieved else none) == (hashed.to_pylist() if hashed else none)
    assert (cut.to_pylist() if cut else none[1:]) == (hashed.to_pylist() if hashed else none)[1:]


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=9), st.integers(0, 8))
def test_what_is_listed_passes_wherever_it_stands_in_memory(values: list[str], at: int) -> None:
    value = values[min(at, len(values) - 1)]
    text = Texts(pa.array(["before", *values]).slice(1))
    passed = Sieve(KEYED, [mark(KEYED, "email", value)]).passes(text, text.starts, text.lengths)
    assert passed[values.index(value)]


def test_it_spares_nearly_all_of_the_work_and_looks_at_every_byte() -> None:
    people = [f"person.{i:06d}@mail-{i % 7}.example" for i in range(50_000)]
    sieve = Sieve(KEYED, marks(KEYED, [("email", p) for p in people[:5000]]))
    text = Texts(pa.array(people))
    passed = sieve.passes(text, text.starts, text.lengths)
    assert passed[:5000].all()
    assert passed[5000:].mean() < 0.005


def test_marks_stay_what_they_are_since_ledgers_hold_them() -> None:
    listed = [("email", "ann@x.example"), (RECORD, "crm:7"), ("card", "x" * 50), ("phone", "")]
    assert [mark(KEYED, *entry) for entry in listed] == [3378547305, 3952026212, 4213874835, 4157556685]
    assert marks(KEYED, listed) == [mark(KEYED, *entry) for entry in listed]


def test_a_mark_tells_nothing_without_the_secret() -> None:
    values = [("email", f"{i}@x.example") for i in range(2000)]
    one, other = (np.array(marks(KeyedHash(s), values)) for s in (b"one secret of 16", b"another secret 16"))
    assert not (one == other).any()
    assert abs(np.mean(one >> 31) - 0.5) < 0.05


@pytest.mark.parametrize("marked", [True, False])
def test_entries_of_an_older_ledger_hold_as_well(installation: Installation, marked: bool) -> None:
    keyed, entry = installation.keyed_hash, ("email", "ann@x.example")
    installation.ledger.suppression.add([Suppressed(keyed.of(*entry), "email")], "erasure")
    if marked:
        other = ("email", "bob@x.example")
        installation.ledger.suppression.add([Suppressed(keyed.of(*other), "email", None, mark(keyed, *other))], "x")
    rows = pa.table({"id": ["1", "2"], "mail": ["ann@x.example", "bob@x.example"]})
    gone = installation.lander._suppressor.lookup().suppressed(CONTRACT, rows)
    assert gone is not None
    assert gone.to_pylist() == [True, marked]


def test_another_ledger_of_the_same_shape_is_another_list(tmp_path: Path) -> None:
    rows = pa.table({"id": ["1", "2"], "mail": ["ann@x.example", "bob@x.example"]})
    for n, name in enumerate(["ann", "bob"] * 2):
        made = Installation(StorageSettings(home=tmp_path / str(n), now=NOW))
        (made.settings.root / "secret").parent.mkdir(parents=True, exist_ok=True)
        (made.settings.root / "secret").write_text("ab" * 32)
        entry = ("email", f"{name}@x.example")
        made.ledger.suppression.add(
            [Suppressed(made.keyed_hash.of(*entry), "email", None, mark(made.keyed_hash, *entry))], "x"
        )
        gone = made.lander._suppressor.lookup().suppressed(CONTRACT, rows)
        made.ledger.close()
        assert gone is not None
        assert gone.to_pylist() == [name == "ann", name == "bob"]


def test_an_entry_holds_from_the_next_package_on(installation: Installation) -> None:
    suppressor, keyed = installation.lander._suppressor, installation.keyed_hash
    rows = pa.table({"id": ["1"], "mail": ["ann@x.example"]})
    assert suppressor.lookup().suppressed(CONTRACT, rows) is None
    entry = Suppressed(keyed.of("email", "ann@x.example"), "email", None, mark(keyed, "email", "ann@x.example"))
    installation.ledger.suppression.add([entry], "erasure")
    assert suppressor.lookup().suppressed(CONTRACT, rows) is not None
