"""Every example of `storage/contracts.md` is what it says: the contract's part is run on the rows of its table."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from onefold_storage.checking import check
from onefold_storage.contracts import Contract, parse
from onefold_storage.deliveries import Batch
from onefold_workers.mapping import silver_rows

PAGE = Path(__file__).parents[2] / "storage" / "contracts.md"
_EXAMPLE = re.compile(
    r"^## (.+?)$(?:(?!^## ).)*?^```yaml\n(.*?)^```\n\n((?:\|[^\n]*\n)+)", re.MULTILINE | re.DOTALL
)
EXAMPLES = {title: (text, table) for title, text, table in _EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))}


def cells(line: str) -> list[str | None]:
    return [c.strip() or None for c in line.strip()[1:-1].split("|")]


def contract_of(part: dict[str, Any], sent: list[str]) -> Contract:
    said = {p["name"]: p for p in part.pop("schema", [])}
    value = {"location": "x.csv", "lawful_basis": "contract", "data_use": ["service"], **part}
    document = {
        "kind": "DataContract", "apiVersion": "v3.1.0", "id": "example", "version": "1", "status": "active",
        "schema": [{"name": "example", "properties": [{"name": n, "logicalType": "string"} | said.get(n, {}) for n in sent]}],
        "customProperties": [{"property": "onefold", "value": value}],
    }  # fmt: skip
    return parse(yaml.safe_dump(document), "example")


def test_the_page_has_its_examples() -> None:
    sections = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[:-2] == list(EXAMPLES), "each section but the last two is an example"


@pytest.mark.parametrize("title", EXAMPLES)
def test_example(title: str) -> None:
    text, table = EXAMPLES[title]
    head, _, *lines = table.splitlines()
    names = [str(c) for c in cells(head)]
    sent = [n for n in names if not n.startswith("→")]
    body = [cells(line) for line in lines]
    assert all(len(row) == len(names) for row in body)
    contract = contract_of(yaml.safe_load(text), sent)
    rows = pa.table({n: pa.array([row[i] for row in body], pa.string()) for i, n in enumerate(sent)})
    checked = check(contract, Batch(rows, pa.array(range(len(body)), pa.int64())))
    assert not checked.bad
    at = pa.scalar(datetime(2018, 1, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
    landed = checked.table.append_column("_package_id", pa.repeat(pa.scalar("p"), len(body)))
    silver = silver_rows(contract, landed.append_column("_landed_at", pa.repeat(at, len(body))))
    for i, name in enumerate(names[len(sent) :], start=len(sent)):
        table_name, _, field = name.removeprefix("→").strip().rpartition(".")
        tables = [table_name] if table_name else [m.table for m in contract.maps]
        found = next(silver[f"silver/{t}"] for t in tables if field in silver[f"silver/{t}"].column_names)
        shown = [None if v is None else str(v) for v in found.column(field).to_pylist()]
        assert shown == [row[i] for row in body], (title, name)
