"""A small lake of three people, built by real landing and mapping; run by path, used by the tests of erasure.

Annabel and Bob Smith share a phone; Cyril Jones has nothing to do with them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import zlib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import yaml

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.installation import Installation
from onefold_storage.packages import Package
from onefold_storage.publications import Publications
from onefold_storage.registry import register
from onefold_storage.schema import CONSENTS, CUSTOMERS, EDGES, HISTORY, LINKS, PERMISSIONS, SCORES, SEGMENTS
from onefold_storage.wishes import Wish
from onefold_workers.mapping import silver_rows

NOW = datetime(2018, 1, 1, tzinfo=UTC)
PEOPLE = {"g-ann": ["crm:1", "news:ann-1"], "g-bob": ["crm:2"], "g-cyril": ["crm:3", "news:cyr-1"]}
CRM = {
    "id": ["1", "2", "3"],
    "first": ["Annabel", "Bob", "Cyril"],
    "last": ["Smith", "Smith", "Jones"],
    "mail": ["Annabel@Example.com", "bob@example.com", "cyril@example.org"],
    "phone": ["+44 20 7946 0101", "+44 20 7946 0101", "+44 20 7946 0999"],
    "card": ["CARD-0001", "CARD-0002", "CARD-0003"],
}
NEWS = {
    "key": ["ann-1", "cyr-1"],
    "mail": ["annabel@example.com", "cyril@example.org"],
    "may": ["GRANTED", "DENIED"],
}
VISITS = {"who": ["1", "2", "3", "1"], "note": ["hello Annabel", "hello Bob", "hello Cyril", None]}


def _column(kind: str | None = None, scheme: str | None = None, *, key: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"logicalType": "string"} | ({"primaryKey": True} if key else {})
    if kind:
        value = {"kind": kind} | ({"scheme": scheme} if scheme else {})
        column["customProperties"] = [{"property": "onefold", "value": value}]
    return column


def _contract(source: str, columns: dict[str, dict[str, Any]], **rules: Any) -> str:
    value = {"location": "x", "lawful_basis": "contract", "data_use": ["service"], "country": "GB", **rules}
    document = {
        "kind": "DataContract",
        "apiVersion": "v3.1.0",
        "id": source,
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {"name": source, "logicalType": "object", "properties": [{"name": n, **c} for n, c in columns.items()]}
        ],
        "customProperties": [{"property": "onefold", "value": value}],
    }
    return yaml.safe_dump(document, sort_keys=False)


CONTRACTS = {
    "crm": _contract(
        "crm",
        {
            "id": _column(key=True),
            "first": _column("given_name"),
            "last": _column("family_name"),
            "mail": _column("email"),
            "phone": _column("phone"),
            "card": _column("external_id", "card"),
        },
        delivery="snapshot",
    ),
    "news": _contract(
        "news",
        {"key": _column(key=True), "mail": _column("email"), "may": _column()},
        maps=[
            {"table": "contact_records"},
            {
                "table": "consents",
                "fields": {
                    "subject_kind": {"constant": "email"},
                    "subject": "mail",
                    "data_use": {"constant": "marketing"},
                    "channel": {"constant": "email"},
                    "state": "may",
                },
            },
        ],
    ),
    "visits": _contract(
        "visits",
        {"who": {"logicalType": "integer"}, "note": _column()},
        maps=[
            {
                "table": "interactions",
                "contact": {"key": ["who"], "source": "crm"},
                "fields": {"kind": {"constant": "visit"}},
                "payload": ["note"],
            }
        ],
    ),
}


def contract(source: str) -> Contract:
    """One of the three contracts."""
    return contracts.parse(CONTRACTS[source], source)


def land(installation: Installation, source: str, rows: dict[str, list[Any]], *bad: bytes) -> Package:
    """Land rows of one source; bad ones are those whose bytes could not be read."""
    table = pa.table({k: pa.array(v, pa.string()) for k, v in rows.items()})
    ids = pa.array(range(table.num_rows), pa.int64())
    unread = tuple(BadRow(table.num_rows + i, "csv", "too many fields", raw) for i, raw in enumerate(bad))
    batch = Batch(table, ids, unread)
    content = hashlib.sha256(repr((rows, bad)).encode()).hexdigest()
    return installation.lander.land(contract(source), Delivery(content, f"{source}.csv", iter([batch])))


def map_to_silver(installation: Installation, source: str) -> None:
    """Put what bronze holds of a source into silver."""
    lake = installation.lake
    for name, table in silver_rows(contract(source), lake.scan(f"bronze/{source}").collect().to_arrow()).items():
        with lake.lock(name):
            lake.commit(name, lake.parts(name, table), replace={"source": source})


def fill(installation: Installation) -> None:
    """Everything an installation has after a refresh: workspace, bronze, silver, links, gold, a publication."""
    lake, folder = installation.lake, installation.settings.workspace_folder
    (folder / "contracts").mkdir(parents=True)
    (folder / "onefold.yaml").write_text("name: small\n")
    for name, text in CONTRACTS.items():
        (folder / "contracts" / f"{name}.yaml").write_text(text)
    register(lake, installation.workspace, installation.clock)
    land(installation, "crm", CRM, b"1;Annabel@example.com;x;y", b"2;bob@example.com;x;y")
    land(installation, "news", NEWS)
    land(installation, "visits", VISITS)
    land(installation, "visits", {"who": ["one"], "note": ["from annabel@example.com"]})
    for source in CONTRACTS:
        map_to_silver(installation, source)
    shared = ("crm:1#phone/marketing/sms/-", "crm", "crm-00000001-x", 0, NOW, False, "phone", "+442079460101")
    rest = ("marketing", "sms", "GRANTED", "consent", None)
    lake.append(
        CONSENTS.name, _table(CONSENTS, [shared + rest, ("crm:2#phone/marketing/sms/-", *shared[1:], *rest)])
    )
    links = [(k, g, NOW, None) for g, keys in PEOPLE.items() for k in keys]
    lake.replace(LINKS.name, _table(LINKS, links))
    lake.append(EDGES.name, _table(EDGES, [("crm:1", "news:ann-1", 9.0, 0.99, "email", "im-1")]))
    lake.append(HISTORY.name, _table(HISTORY, [("g-old", "merged", "g-ann", 1, None, NOW)]))
    for version in (1, 2):  # the first one is history when the person is erased
        customers = [_customer(g, version) for g in PEOPLE]
        lake.replace(CUSTOMERS.name, pa.Table.from_pylist(customers, schema=CUSTOMERS.arrow))
    may = [
        (g, "service", "email", True, "contract", "contract", [CRM["mail"][n].lower()])
        for n, g in enumerate(PEOPLE)
    ]
    lake.append(PERMISSIONS.name, _table(PERMISSIONS, may))
    lake.append(SEGMENTS.name, _table(SEGMENTS, [(g, "loyal", NOW) for g in PEOPLE]))
    lake.append(
        SCORES.name, _table(SCORES, [(g, "churn", "1", 0.5, n, [], NOW, None) for n, g in enumerate(PEOPLE)])
    )
    _publish(installation)
    gathered = BytesIO()
    lake.scan("silver/interactions").collect().write_parquet(gathered)
    lake.objects.put("work/customers/v1/interactions/0.parquet", gathered.getvalue())
    lake.objects.put("work/customers/current.json", b'{"version": "v1"}')
    hashed = installation.keyed_hash.of("email", "annabel@example.com")
    wish = Wish("email", hashed, "marketing", "any", "REVOKED", ("g-ann",), "Annabel told us on the phone")
    installation.ledger.wishes.add([wish], "test")


def _table(table: Any, rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(table.arrow.names, r, strict=True)) for r in rows], schema=table.arrow)


def _customer(golden_id: str, version: int) -> dict[str, Any]:
    n = list(PEOPLE).index(golden_id)
    return {
        "golden_id": golden_id,
        "given_name": CRM["first"][n],
        "family_name": CRM["last"][n],
        "email": CRM["mail"][n].lower(),
        "phone": CRM["phone"][n].replace(" ", ""),
        "emails": [CRM["mail"][n].lower()],
        "external_ids": [{"scheme": "card", "value": CRM["card"][n]}],
        "attributes": json.dumps({"version": version}),
        "records": len(PEOPLE[golden_id]),
    }


def _publish(installation: Installation) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "serving.sqlite"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE customers(golden_id TEXT, profile BLOB)")
        frame = pl.from_arrow(installation.lake.read(CUSTOMERS.name))
        assert isinstance(frame, pl.DataFrame)
        for row in frame.to_dicts():
            database.execute(
                "INSERT INTO customers VALUES (?, ?)", (row["golden_id"], zlib.compress(repr(row).encode()))
            )
        database.commit()
        database.close()
        made = Publications(installation.lake.objects).publish({"serving.sqlite": path}, NOW, {})
    installation.ledger.publications.record(made.version, NOW, "published", {})
