"""What the storage floor's tests share: contracts in a few words, deliveries made of rows, a home of their own."""

from __future__ import annotations

import hashlib
import runpy
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings

NOW = datetime(2018, 1, 1, tzinfo=UTC)

Column = str | dict[str, Any]


def contract_text(source: str = "people", columns: dict[str, Column] | None = None, **rules: Any) -> str:
    """An ODCS document. A column is its logical type, or a mapping of ODCS keys with `onefold` for its rules."""
    properties = []
    for name, given in (
        columns or {"id": {"logicalType": "integer", "primaryKey": True}, "name": "string"}
    ).items():
        column = {"logicalType": given} if isinstance(given, str) else dict(given)
        own = column.pop("onefold", None)
        if own is not None:
            column["customProperties"] = [{"property": "onefold", "value": own}]
        properties.append({"name": name, **column})
    value = {"location": "people.csv", "lawful_basis": "contract", "data_use": ["service"], **rules}
    return yaml.safe_dump(
        {
            "kind": "DataContract",
            "apiVersion": "v3.1.0",
            "id": source,
            "version": "1.0.0",
            "status": "active",
            "schema": [{"name": source, "logicalType": "object", "properties": properties}],
            "customProperties": [{"property": "onefold", "value": value}],
        },
        sort_keys=False,
    )


def contract_of(source: str = "people", columns: dict[str, Column] | None = None, **rules: Any) -> Contract:
    """A parsed contract; see `contract_text`."""
    return contracts.parse(contract_text(source, columns, **rules), f"{source}.yaml")


def delivery_of(
    *batches: dict[str, Sequence[Any]] | pa.Table, bad: Sequence[BadRow] = (), content: str | None = None
) -> Delivery:
    """A delivery of these batches, in order; `bad` rows come with the last one. Its content is its rows."""
    tables = [pa.table(b) if isinstance(b, dict) else b for b in batches]
    facts = repr([t.to_pydict() for t in tables]) + repr(bad)

    def read() -> Iterator[Batch]:
        at = 0
        for n, table in enumerate(tables):
            last = n == len(tables) - 1
            ids = pa.array(range(at, at + table.num_rows), pa.int64())
            at += table.num_rows
            yield Batch(table, ids, tuple(bad) if last else ())

    return Delivery(content or hashlib.sha256(facts.encode()).hexdigest(), "people.csv", read())


@pytest.fixture(scope="session")
def make_contract() -> Callable[..., Contract]:
    """`make_contract(source, {column: type or mapping}, **rules)`."""
    return contract_of


@pytest.fixture(scope="session")
def make_contract_text() -> Callable[..., str]:
    """As `make_contract`, but the YAML text."""
    return contract_text


@pytest.fixture(scope="session")
def make_delivery() -> Callable[..., Delivery]:
    """`make_delivery({column: values}, …, bad=[…], content=…)`."""
    return delivery_of


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.needs_minio)])
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the lake of this test lies: `file`, `s3`, or a fixture that gives settings.

    The environment says it, and so to other processes.
    """
    if request.param != "file":
        for name, value in request.getfixturevalue("bucket" if request.param == "s3" else request.param).items():
            monkeypatch.setenv(f"ONEFOLD_{name.upper()}", value)
    return str(request.param)


@pytest.fixture
def installation(tmp_path: Path, stored: str) -> Iterator[Installation]:
    """An empty installation whose clock stands at the start of 2018; once with a folder, once with a bucket."""
    made = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    yield made
    made.ledger.close()


@pytest.fixture(scope="session")
def small_lake() -> dict[str, Any]:
    """The words of `small_lake.py`: `fill`, `land`, `map_to_silver`, `CRM`, …"""
    return runpy.run_path(str(Path(__file__).with_name("small_lake.py")))


@pytest.fixture(scope="session")
def _filled_once(tmp_path_factory: pytest.TempPathFactory, small_lake: dict[str, Any]) -> Path:
    home = tmp_path_factory.mktemp("small") / "home"
    made = Installation(StorageSettings(home=home, now=NOW))
    small_lake["fill"](made)
    made.ledger.close()
    return home


@pytest.fixture
def filled(_filled_once: Path, tmp_path: Path, stored: str) -> Iterator[Installation]:
    """A copy of the small lake of three people, as after a refresh."""
    shutil.copytree(_filled_once, tmp_path / "home")
    made = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    if stored != "file":  # no object names another by its full path, so that a lake may move
        folder = tmp_path / "home" / "lake"
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            made.lake.objects.put(str(path.relative_to(folder)), path.read_bytes())
        shutil.rmtree(folder)
    yield made
    made.ledger.close()
