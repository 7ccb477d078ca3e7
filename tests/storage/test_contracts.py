"""Data contracts: what is read out of them, and that every error names the file and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.errors import BadContract
from onefold_storage.schema import TIMESTAMP

Edit = Callable[[dict[str, Any]], None]


def _rules(document: dict[str, Any]) -> dict[str, Any]:
    return document["customProperties"][0]["value"]


def _column(document: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return document["schema"][0]["properties"][at]


def test_columns_types_and_keys_in_order(make_contract: Callable[..., Contract]) -> None:
    contract = make_contract(
        "orders",
        {
            "region": {"logicalType": "string", "primaryKey": True},
            "number": {"logicalType": "integer", "primaryKey": True},
            "total": {"logicalType": "number", "physicalType": "DECIMAL(12, 2)"},
            "weight": "number",
            "day": "date",
            "at": "timestamp",
            "open": "boolean",
            "tags": {"logicalType": "array", "items": {"logicalType": "string"}},
        },
    )
    assert contract.bronze == "bronze/orders"
    assert contract.primary_key == ("region", "number")
    assert contract.arrow.types == [
        pa.string(), pa.int64(), pa.decimal128(12, 2), pa.float64(),
        pa.date32(), TIMESTAMP, pa.bool_(), pa.string(),
    ]  # fmt: skip
    assert contract.by_name["region"].required, "a primary key is required"
    assert contract.maps == ()


def test_personal_columns_make_contact_records_even_without_a_map(make_contract: Callable[..., Contract]) -> None:
    columns = {
        "id": {"logicalType": "integer", "primaryKey": True},
        "mail": {"logicalType": "string", "onefold": {"kind": "email"}},
    }
    contract = make_contract("shop", columns)
    assert [m.table for m in contract.maps] == ["contact_records"]
    assert contract.kinds == {"mail": "email"}
    both = make_contract(
        "shop", columns, maps=[{"table": "interactions", "fields": {"kind": {"constant": "visit"}}}]
    )
    assert [m.table for m in both.maps] == ["contact_records", "interactions"]
    assert both.maps[1].fields["kind"].constant == "visit"


def test_a_changed_mapping_has_another_digest_and_a_changed_location_has_not(
    make_contract: Callable[..., Contract],
) -> None:
    one = make_contract()
    assert make_contract(location="other.csv", trust=90).digest == one.digest
    assert make_contract(country="NL").digest != one.digest
    assert make_contract(columns={"id": {"logicalType": "integer", "primaryKey": True}}).digest != one.digest


def _no_rules(d: dict[str, Any]) -> None:
    d.pop("customProperties")


def _two_rules(d: dict[str, Any]) -> None:
    d["customProperties"] *= 2


CASES: dict[str, tuple[Edit, str]] = {
    "unknown key at the top": (lambda d: d.update(colour="red"), "colour"),
    "unknown key in a nested ODCS object": (lambda d: _column(d).update(logicaltype="x"), "schema.0.properties.0"),
    "a required ODCS key is missing": (lambda d: d.pop("version"), "version"),
    "wrong API version": (lambda d: d.update(apiVersion="v9"), "apiVersion"),
    "wrong kind": (lambda d: d.update(kind="Contract"), "kind"),
    "unknown logical type": (lambda d: _column(d).update(logicalType="text"), "logicalType"),
    "an id that is no table name": (lambda d: d.update(id="My Source"), "id"),
    "two schema objects": (lambda d: d["schema"].append({**d["schema"][0], "name": "b"}), "schema"),
    "no columns": (lambda d: d["schema"][0].pop("properties"), "schema.properties"),
    "a column declared twice": (lambda d: _column(d, 1).update(name="id"), "schema.properties: declared twice: id"),
    "a name of the lake's own": (lambda d: _column(d).update(name="_row_id"), "_row_id"),
    "no onefold property": (_no_rules, "customProperties"),
    "two onefold properties": (_two_rules, "customProperties"),
    "onefold is no mapping": (lambda d: d["customProperties"][0].update(value="x"), "customProperties"),
    "unknown source rule": (lambda d: _rules(d).update(delivry="append"), "onefold.delivry"),
    "unknown delivery": (lambda d: _rules(d).update(delivery="stream"), "onefold.delivery"),
    "no location": (lambda d: _rules(d).pop("location"), "onefold.location"),
    "no lawful basis": (lambda d: _rules(d).pop("lawful_basis"), "onefold.lawful_basis"),
    "unknown lawful basis": (lambda d: _rules(d).update(lawful_basis="because"), "onefold.lawful_basis"),
    "no data use": (lambda d: _rules(d).update(data_use=[]), "onefold.data_use"),
    "unknown time zone": (lambda d: _rules(d).update(timezone="Mars/Olympus"), "onefold.timezone"),
    "country in words": (lambda d: _rules(d).update(country="Germany"), "onefold.country"),
    "trust beyond 100": (lambda d: _rules(d).update(trust=101), "onefold.trust"),
    "freshness that is no duration": (lambda d: _rules(d).update(freshness="daily"), "onefold.freshness"),
    "a map to no table": (lambda d: _rules(d).update(maps=[{"table": "persons"}]), "onefold.maps.0"),
    "a map to a field that is none": (
        lambda d: _rules(d).update(maps=[{"table": "items", "fields": {"colour": "name"}}]),
        "onefold.maps.0",
    ),
    "a map from a column that is none": (
        lambda d: _rules(d).update(maps=[{"table": "items", "fields": {"name": "title"}}]),
        "onefold.maps.0: no such column: title",
    ),
    "a map key that is none": (
        lambda d: _rules(d).update(maps=[{"table": "items", "key": ["sku"]}]),
        "onefold.maps.0: no such column: sku",
    ),
    "a field from a column and a constant": (
        lambda d: _rules(d).update(
            maps=[{"table": "items", "fields": {"name": {"column": "name", "constant": "x"}}}]
        ),
        "onefold.maps.0.fields.name",
    ),
    "unknown key of a column": (
        lambda d: _column(d).update(customProperties=[{"property": "onefold", "value": {"knid": "email"}}]),
        "id: onefold.knid",
    ),
    "unknown kind": (
        lambda d: _column(d).update(customProperties=[{"property": "onefold", "value": {"kind": "mail"}}]),
        "id: onefold",
    ),
    "an external ID without a scheme": (
        lambda d: _column(d).update(customProperties=[{"property": "onefold", "value": {"kind": "external_id"}}]),
        "id: onefold",
    ),
    "a snapshot without a primary key": (
        lambda d: (_rules(d).update(delivery="snapshot"), _column(d).pop("primaryKey")),
        "onefold.delivery",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_error_names_the_file_and_the_key(
    case: str, tmp_path: Path, make_contract_text: Callable[..., str]
) -> None:
    edit, key = CASES[case]
    document = yaml.safe_load(make_contract_text())
    edit(document)
    path = tmp_path / "crm.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(BadContract) as caught:
        contracts.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert key in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1", "not valid YAML: line 1, column 6: expected ',' or ']'"),
        (b"id: x\nname\nversion: 1", "not valid YAML: line 3, column 1: could not find expected ':'"),
        (b"- a list", "found list"),
        (b"", "found NoneType"),
        ("name: K\u00f6ln".encode("latin-1"), "expected UTF-8"),
    ],
)
def test_a_file_that_is_no_contract(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "crm.yaml"
    path.write_bytes(content)
    with pytest.raises(BadContract, match=says) as caught:
        contracts.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadContract, match=r"absent\.yaml: cannot be read"):
        contracts.read(tmp_path / "absent.yaml")


def test_all_that_is_wrong_is_told_a_line_each(tmp_path: Path) -> None:
    columns = [
        {"name": n, "logicalType": "string", "customProperties": [{"property": "onefold", "value": v}]}
        for n, v in (("a", {"kind": "nonsense"}), ("b", {"kind": "email"}), ("c", {"unknown": 1}))
    ]
    rules = {"location": "x.csv", "lawful_basis": "whim", "data_use": [], "trust": 101}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "crm", "version": "1.0.0", "status": "active",
        "schema": [{"name": "crm", "properties": columns}],
        "customProperties": [{"property": "onefold", "value": rules}],
    }  # fmt: skip
    path = tmp_path / "crm.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BadContract) as caught:
        contracts.read(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    told = [line.removeprefix(f"{path}: ").split(": ")[0] for line in lines]
    assert told == ["onefold.lawful_basis", "onefold.data_use", "onefold.trust", "a", "c"]
