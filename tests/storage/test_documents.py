"""Documents: stored once before their rows, swept when no row names them, erased with their person, backed up."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_storage.backup import back_up, store_at
from onefold_storage.contracts import Contract
from onefold_storage.customer_documents import documents_of
from onefold_storage.deliveries import BadRow, Batch, Delivery, Document
from onefold_storage.documents import keep, key_of, standing, stored, sweep_documents
from onefold_storage.erasure import erase
from onefold_storage.errors import BadInput
from onefold_storage.installation import Installation
from onefold_storage.maintenance import maintain
from onefold_storage.places import undeclared
from onefold_storage.registry import register
from onefold_storage.restoring import restore
from onefold_storage.schema import LINKS
from onefold_workers.mapping import silver_rows

ANN, BOB, CYRIL = "annabel@example.com", "bob@example.com", "cyril@example.org"
NOTHING = timedelta(0)


def _document(row: int, data: bytes, sha256: str | None = None) -> Document:
    @contextmanager
    def read() -> Iterator[IO[bytes]]:
        yield BytesIO(data)

    return Document(row, sha256 or hashlib.sha256(data).hexdigest(), len(data), read)


def _key(data: bytes) -> str:
    return key_of(hashlib.sha256(data).hexdigest())


@pytest.fixture
def calls(filled: Installation, make_contract_text: Callable[..., str]) -> Contract:
    """The contract of a source whose rows name an object and an email, in the small lake's workspace."""
    columns = {
        "id": {"logicalType": "string", "primaryKey": True},
        "object": "string",
        "mail": {"logicalType": "string", "required": True, "onefold": {"kind": "email"}},
    }
    maps = [
        {"table": "contact_records", "key": ["mail"]},
        {"table": "documents", "contact": {"key": ["mail"]}, "fields": {"object": "object"}},
    ]
    text = make_contract_text("calls", columns, delivery="changes", maps=maps)
    (filled.settings.workspace_folder / "contracts" / "calls.yaml").write_text(text)
    register(filled.lake, filled.workspace, filled.clock)
    return contracts.parse(text, "calls")


def _land(home: Installation, contract: Contract, *given: tuple[str, str | None, bytes]) -> Any:
    """Land rows (id, mail, data), one of them perhaps bad, and map them."""
    table = pa.table(
        {
            "id": pa.array([i for i, _, _ in given], pa.string()),
            "object": pa.array([_key(d) for _, _, d in given], pa.string()),
            "mail": pa.array([m for _, m, _ in given], pa.string()),
        }
    )
    documents = tuple(_document(n, d) for n, (_, _, d) in enumerate(given))
    batch = Batch(table, pa.array(range(len(given)), pa.int64()), documents=documents)
    package = home.lander.land(contract, Delivery(uuid.uuid4().hex, "calls/*.wav", iter([batch])))
    lake = home.lake
    for name, rows in silver_rows(contract, lake.scan(contract.bronze).collect().to_arrow()).items():
        with lake.lock(name):
            lake.commit(name, lake.parts(name, rows), replace={"source": contract.id})
    links = lake.scan(LINKS.name).collect()
    new = [(f"calls:{ANN}", "g-ann"), (f"calls:{BOB}", "g-bob"), (f"calls:{CYRIL}", "g-cyril")]
    more = pl.DataFrame(
        {
            "record_key": [k for k, _ in new],
            "golden_id": [g for _, g in new],
            "valid_from": [links["valid_from"][0]] * 3,
        }
    )
    every = pl.concat([links, more.with_columns(valid_to=None)], how="diagonal_relaxed").unique("record_key")
    lake.replace(LINKS.name, lake.frame_to_arrow(LINKS.name, every))
    return package


def test_a_person_is_erased_with_the_documents_that_nobody_else_has(filled: Installation, calls: Contract) -> None:
    own, old, shared, bobs, failed = (bytes([n]) * 3_000_000 for n in range(5))
    _land(filled, calls, ("a", ANN, old), ("b", ANN, shared), ("c", BOB, bobs))
    package = _land(filled, calls, ("a", ANN, own), ("d", BOB, shared), ("e", None, failed))
    assert (package.landed, package.failed) == (2, 1)
    assert set(stored(filled.lake.objects)) == {_key(d) for d in (own, old, shared, bobs, failed)}
    assert {d.id for d in documents_of(filled.lake, "g-ann")} == {_key(d)[-64:] for d in (own, shared)}
    assert undeclared(filled) == []
    assert sweep_documents(filled.lake, NOTHING).objects == 0, "a version that was replaced still has its row"

    receipt = erase(filled, "g-ann", filled.clock.now())
    assert receipt.complete
    assert receipt.places["documents/*"] == 2
    assert set(stored(filled.lake.objects)) == {_key(d) for d in (shared, bobs, failed)}
    assert {d.id for d in documents_of(filled.lake, "g-bob")} == {_key(d)[-64:] for d in (shared, bobs)}
    assert erase(filled, "g-ann", filled.clock.now()).places["documents/*"] == 0

    again = _land(filled, calls, ("f", ANN, own), ("g", BOB, b"new"))
    assert (again.landed, again.suppressed) == (1, 1)
    assert _key(own) not in stored(filled.lake.objects), "the document of a suppressed row is not stored"
    assert erase(filled, "g-bob", filled.clock.now()).complete
    assert set(stored(filled.lake.objects)) == {_key(failed)}


def test_objects_that_no_row_names_are_swept(filled: Installation, calls: Contract) -> None:
    _land(filled, calls, ("a", ANN, b"one"), ("b", BOB, b"two"))
    keep(filled.lake, "calls", [_document(0, b"three" * 1000)])  # a landing that was cut off here
    orphan = {_key(b"three" * 1000)}
    assert standing(filled.lake) == {_key(b"one"), _key(b"two")}
    assert sweep_documents(filled.lake, timedelta(days=1)).objects == 0, "it may be on its way"
    assert maintain(filled, retention=NOTHING, dry_run=True).documents == 1
    assert orphan < stored(filled.lake.objects).keys()

    with filled.lake.lock("land:calls"):
        swept: list[Any] = []
        other = Installation(filled.settings)
        thread = threading.Thread(target=lambda: swept.append(sweep_documents(other.lake, NOTHING, patience=0.2)))
        thread.start()
        thread.join(60)
    assert swept[0].busy
    assert orphan < stored(filled.lake.objects).keys(), "somebody is landing, and may have found it there"

    upkeep = maintain(filled, retention=NOTHING)
    assert (upkeep.documents, upkeep.busy) == (1, ())
    assert set(stored(filled.lake.objects)) == {_key(b"one"), _key(b"two")}
    assert maintain(filled, retention=NOTHING).documents == 0


def test_a_file_that_changes_while_it_is_stored_holds_its_package(filled: Installation, calls: Contract) -> None:
    data, before = b"x" * 9_000_000, dict(stored(filled.lake.objects))
    wrong = _document(0, data, hashlib.sha256(b"what it was").hexdigest())
    rows = pa.table({"id": ["a"], "object": [key_of(wrong.sha256)], "mail": [ANN]})
    batch = Batch(rows, pa.array([0], pa.int64()), documents=(wrong,))
    with pytest.raises(BadInput, match=r"row 1: the object .* changed while it was read"):
        filled.lander.land(calls, Delivery("c", "calls/*.wav", iter([batch])))
    assert dict(stored(filled.lake.objects)) == before
    assert not filled.lake.exists("bronze/calls")
    assert not [k for k in filled.lake.objects.keys("documents", unfinished=True) if k.endswith(".tmp")]


def test_documents_of_bad_rows_stay_with_them(filled: Installation, calls: Contract) -> None:
    data = b"a call" * 100
    raw = json.dumps({"id": "x", "object": _key(data), "mail": "bob@example.com"}).encode()
    batch = Batch(
        pa.table({"id": pa.array([], pa.string()), "object": pa.array([], pa.string()), "mail": pa.array([], pa.string())}),
        pa.array([], pa.int64()), (BadRow(0, "sidecar", "file 1: no sidecar", raw),), documents=(_document(0, data),),
    )  # fmt: skip
    filled.lander.land(calls, Delivery("d", "calls/*.wav", iter([batch])))
    assert maintain(filled, retention=NOTHING).documents == 0
    assert _key(data) in stored(filled.lake.objects)
    assert erase(filled, "g-bob", filled.clock.now()).complete
    assert _key(data) not in stored(filled.lake.objects)


@pytest.mark.parametrize("stored", ["file"], indirect=True)
def test_a_backup_holds_the_documents(filled: Installation, calls: Contract, tmp_path: Path) -> None:
    _land(filled, calls, ("a", ANN, b"one"), ("b", BOB, b"two"))
    store = store_at(filled.settings, str(tmp_path / "backups"))
    back_up(filled, store)
    erase(filled, "g-ann", filled.clock.now())
    (tmp_path / "new").mkdir()
    empty = Installation(filled.settings.model_copy(update={"home": tmp_path / "new"}))
    store.copy_law(filled.lake.objects)
    restore(empty, store)
    made = Installation(empty.settings)
    assert made.lake.objects.get(_key(b"two")) == b"two"
    assert set(stored(made.lake.objects)) == {_key(b"two")}, "who was erased meanwhile is erased again"
    made.ledger.close()
