"""Bad values through a real lake: each row that breaks the contract is a failed event with its reason, all else lands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onefold_storage.contracts import parse
from onefold_storage.installation import Installation
from onefold_storage.packages import Package
from onefold_storage.settings import StorageSettings
from onefold_workers.connectors import deliveries

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: people
version: 1.0.0
status: active
schema:
  - name: people
    properties:
      - {{name: a, logicalType: string}}
      - {{name: born, logicalType: date, customProperties: [{{property: onefold, value: {{format: "{format}"}}}}]}}
      - {{name: paid, logicalType: number}}
customProperties:
  - property: onefold
    value: {{location: "{name}", lawful_basis: contract, data_use: [service], {more}}}
"""


def land(folder: Path, name: str, data: bytes, form: str = "%d.%m.%Y", more: str = "") -> tuple[Package, Any, Any]:
    """The package, and by row what landed and what failed."""
    (folder / name).write_bytes(data)
    made = parse(CONTRACT.format(name=name, format=form, more=more), "people.yaml")
    installation = Installation(StorageSettings(home=folder / "home"))
    package = installation.lander.land(made, next(iter(deliveries(made, folder))))
    landed = installation.lake.scan(made.bronze).collect().to_dicts()
    failed = []
    if installation.lake.exists("bronze/failed_events"):
        failed = installation.lake.scan("bronze/failed_events").collect().to_dicts()
    assert package.sent == package.landed + package.failed == len(landed) + len(failed)
    return package, {r["_row_id"]: r for r in landed}, {r["row_id"]: r for r in failed}


def test_dates_of_five_formats_in_one_column(tmp_path: Path) -> None:
    dates = ["31.01.2017", "2017-01-31", "01/31/2017", "31 Jan 2017", "20170131", "30.02.2017", "", "1.2.2017"]
    data = "a,born,paid\n" + "".join(f"{i},{d},1\n" for i, d in enumerate(dates))
    _, landed, failed = land(tmp_path, "x.csv", data.encode())
    assert {i: str(r["born"]) for i, r in landed.items()} == {0: "2017-01-31", 6: "None", 7: "2017-02-01"}
    assert set(failed) == {1, 2, 3, 4, 5}
    for event in failed.values():
        assert (event["field"], event["rule"]) == ("born", "type")
        assert event["message"] == "born: expected date as %d.%m.%Y"


def test_numbers_land_as_the_source_s_locale_writes_them(tmp_path: Path) -> None:
    data = 'a,born,paid\n0,,"1.234,56"\n1,,1.234\n2,,12.34\n3,,"0,5"\n4,,"1,234.5"\n5,,7\n'
    _, landed, failed = land(tmp_path, "x.csv", data.encode(), more="locale: de_DE")
    assert {i: r["paid"] for i, r in landed.items()} == {0: 1234.56, 1: 1234, 3: 0.5, 5: 7}
    assert {i: r["message"] for i, r in failed.items()} == dict.fromkeys(
        (2, 4), "paid: expected number as de_DE writes it"
    )


def test_json_ten_thousand_deep_costs_its_row_or_stays_as_it_came(tmp_path: Path) -> None:
    deep = b'{"k":[' * 5_000 + b"1" + b"]}" * 5_000
    lines = [b'{"a":"0"}', b'{"a":"1","more":' + deep + b"}", b"[" * 10_000, b'{"a":"3"}']
    package, landed, failed = land(tmp_path, "x.ndjson", b"\n".join(lines))
    assert package.sent == 4
    assert {0, 3} <= set(landed)
    assert 2 in failed
    assert all(f["rule"] == "json" and "x.ndjson: row" in f["message"] for f in failed.values())


def test_a_wrong_charset_costs_the_rows_that_show_it(tmp_path: Path) -> None:
    data = "a,born,paid\nAnn,,1\nZoë,,2\nBen,,3\n".encode("cp1252")
    _, landed, failed = land(tmp_path, "x.csv", data)
    assert [r["a"] for r in landed.values()] == ["Ann", "Ben"]
    assert {i: r["rule"] for i, r in failed.items()} == {1: "encoding"}
