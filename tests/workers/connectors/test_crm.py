"""A CRM by its REST API, from a real HTTP server to the canonical tables: people, accounts, relations, cases over time.

Contacts, companies, deals and owners, in pages, with tokens that end early and limits that are waited for; three
readings, between which people marry, deals move on and one is told late.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from onefold_storage.contracts import Contract, parse
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.mapping import silver_rows
from onefold_workers.stages.landing import land_source

_server = runpy.run_path(str(Path(__file__).with_name("crm_server.py")))
KEY = {"primaryKey": True}
MAPS: dict[str, list[dict[str, Any]]] = {
    "contacts": [
        {"table": "contact_records", "effective_at": "updated"},
        {"table": "relations", "effective_at": "updated", "fields": {
            "kind": {"constant": "works_for"}, "to_key": {"column": "company_id", "prefix": "crm_companies:"}}},
    ],
    "companies": [{"table": "accounts", "effective_at": "updated", "payload": ["owner_id"], "fields": {
        "name": "name", "industry": "industry", "domain": "domain"}}],
    "deals": [{"table": "cases", "effective_at": "updated", "contact": {"source": "crm_contacts", "key": ["contact_id"]},
        "fields": {"kind": {"constant": "deal"}, "state": "stage", "amount": "amount", "opened_at": "opened",
                   "account_key": {"column": "company_id", "prefix": "crm_companies:"}}}],
    "owners": [],
}  # fmt: skip
COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "contacts": {"id": {"logicalType": "integer", **KEY}, "first": {"kind": "given_name"}, "last": {"kind": "family_name"},
                 "email": {"kind": "email"}, "company_id": {"logicalType": "integer"}},
    "companies": {"id": {"logicalType": "integer", **KEY}, "name": {}, "industry": {}, "domain": {},
                  "owner_id": {"logicalType": "integer"}},
    "deals": {"id": {"logicalType": "integer", **KEY}, "contact_id": {"logicalType": "integer"}, "stage": {},
              "company_id": {"logicalType": "integer"}, "amount": {"logicalType": "number"},
              "opened": {"logicalType": "timestamp"}},
    "owners": {"id": {"logicalType": "integer", **KEY}, "email": {}},
}  # fmt: skip
DATES = {"updated": {"logicalType": "timestamp"}}


def _contract(url: str, table: str) -> Contract:
    """The contract of one table, as a data team writes it."""
    properties = []
    for name, said in (COLUMNS[table] | DATES).items():
        own = {k: v for k, v in said.items() if k == "kind"}
        rules = {"customProperties": [{"property": "onefold", "value": own}]} if own else {}
        properties.append(
            {"name": name, "logicalType": "string"} | {k: v for k, v in said.items() if k != "kind"} | rules
        )
    value = {
        "connector": "rest", "location": f"{url}/v1/{table}", "delivery": "changes", "currency": "EUR",
        "lawful_basis": "contract", "data_use": ["service"], "maps": MAPS[table],
        "options": {
            "records": "data", "cursor": {"field": "updated", "param": "since"}, "requests_per_second": 200,
            "paginator": {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"},
            "auth": {"type": "oauth2_client_credentials", "token_url": f"{url}/token", "client_id": "onefold",
                     "client_secret": "${CRM_SECRET}"},
        },
    }  # fmt: skip
    document = {
        "kind": "DataContract", "apiVersion": "v3.1.0", "id": f"crm_{table}", "version": "1", "status": "active",
        "schema": [{"name": table, "properties": properties}],
        "customProperties": [{"property": "onefold", "value": value}],
    }  # fmt: skip
    return parse(yaml.safe_dump(document), f"crm_{table}.yaml")


def _at(day: int) -> str:
    return f"2018-01-{day:02d}T09:00:00Z"


def _day(day: int) -> datetime:
    return datetime(2018, 1, day, 9, tzinfo=UTC)


@pytest.fixture
def crm() -> Iterator[Any]:
    people = [
        {"id": n, "first": "Ann", "last": f"Test{n}", "email": f"A{n}@Example.ORG", "company_id": n % 3 or None,
         "updated": _at(1)} for n in range(1, 9)
    ]  # fmt: skip
    firms = [
        {"id": n, "name": f"Firm {n} Ltd", "industry": "baking", "domain": f"firm{n}.example", "owner_id": 1,
         "updated": _at(1)} for n in (1, 2)
    ]  # fmt: skip
    deals = [
        {"id": n, "contact_id": n, "company_id": 1, "stage": "lead", "amount": 10.5 * n, "opened": _at(1),
         "updated": _at(2)} for n in range(1, 6)
    ]  # fmt: skip
    owners = [{"id": 1, "email": "rep@example.org", "updated": _at(1)}]
    tables = {"contacts": people, "companies": firms, "deals": deals, "owners": owners}
    with _server["serving"](_server["Crm"](tables, token_uses=2)) as served:
        served.token()
        yield served


def _walk(crm: Any, folder: Path, day: int) -> dict[str, tuple[int, int]]:
    """Land all tables: (landed, repeated) by table."""
    settings = StorageSettings(home=folder / "home", now=datetime(2018, 1, day, 12, tzinfo=UTC))
    found = {}
    for table in crm.tables:
        landed = land_source(settings, _contract(crm.url, table), folder)
        assert landed.errors == ()
        found[table] = (sum(p.landed for p in landed.packages), sum(p.repeated for p in landed.packages))
    return found


def _silver(crm: Any, folder: Path) -> dict[str, pl.DataFrame]:
    """What all of bronze becomes."""
    lake = Installation(StorageSettings(home=folder / "home")).lake
    made: dict[str, pl.DataFrame] = {}
    for table in crm.tables:
        contract = _contract(crm.url, table)
        rows = lake.scan(contract.bronze).collect().to_arrow()
        made |= {name: pl.DataFrame(pl.from_arrow(found)) for name, found in silver_rows(contract, rows).items()}
    return made


def _rows(frame: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return frame.select(columns).sort(columns[:2]).rows()


def test_a_crm_lands_in_the_canonical_tables(crm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_SECRET", "s3cret")
    crm.moods.append((429, {"Retry-After": "1"}))
    assert _walk(crm, tmp_path, 10) == {"contacts": (8, 0), "companies": (2, 0), "deals": (5, 0), "owners": (1, 0)}
    assert {name: frame.height for name, frame in _silver(crm, tmp_path).items()} == {
        "silver/contact_records": 8, "silver/relations": 6, "silver/accounts": 2, "silver/cases": 5,
    }  # fmt: skip
    assert len(crm.tokens) > 3, "tokens ended early and were asked for again"

    people, deals = crm.tables["contacts"], crm.tables["deals"]
    people[0] |= {"last": "Married", "company_id": 2, "updated": _at(11)}
    crm.tables["companies"][1] |= {"industry": "milling", "updated": _at(11)}
    deals[0] |= {"stage": "won", "amount": 99, "updated": _at(11)}
    deals.append(deals[1] | {"id": 6, "stage": "proposal", "updated": _at(11)})
    found = _walk(crm, tmp_path, 12)
    assert {t: landed for t, (landed, _) in found.items()} == {
        "contacts": 1,
        "companies": 1,
        "deals": 2,
        "owners": 0,
    }

    deals[0] |= {"stage": "lost", "updated": _at(13)}
    assert _walk(crm, tmp_path, 14)["deals"] == (1, 1)
    assert {landed for landed, _ in _walk(crm, tmp_path, 15).values()} == {0}, "nothing new adds nothing"

    silver = _silver(crm, tmp_path)
    cases = _rows(
        silver["silver/cases"], "record_key", "effective_at", "state", "amount", "currency", "contact_key"
    )
    assert [c[1:] for c in cases if c[0] == "crm_deals:1"] == [
        (_day(2), "lead", Decimal("10.5000"), "EUR", "crm_contacts:1"),
        (_day(11), "won", Decimal("99.0000"), "EUR", "crm_contacts:1"),
        (_day(13), "lost", Decimal("99.0000"), "EUR", "crm_contacts:1"),
    ]
    assert len(cases) == 8
    moved = _rows(silver["silver/relations"], "from_key", "to_key", "kind", "effective_at")
    assert [m for m in moved if m[0] == "crm_contacts:1"] == [
        ("crm_contacts:1", "crm_companies:1", "works_for", _day(1)),
        ("crm_contacts:1", "crm_companies:2", "works_for", _day(11)),
    ]
    assert not [m for m in moved if m[0] == "crm_contacts:3"], "without a company there is no relation"
    firms = _rows(silver["silver/accounts"], "record_key", "effective_at", "industry")
    assert [f[1:] for f in firms if f[0] == "crm_companies:2"] == [(_day(1), "baking"), (_day(11), "milling")]
    assert set(silver["silver/cases"]["account_key"]) <= {f[0] for f in firms}, "cases name accounts that are there"
    record = silver["silver/contact_records"].filter(pl.col("record_key") == "crm_contacts:1").sort("effective_at")
    assert record["family_name"].to_list() == ["Test1", "Married"]
    assert set(record["email"]) == {"a1@example.org"}
