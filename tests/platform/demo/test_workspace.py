"""The demo's declarations: valid, and right about the files they describe, down to silver."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import yaml

from onefold.demo.data import DemoFiles, generate
from onefold.demo.scanners import FIRST, LIVE
from onefold_storage import contracts
from onefold_storage.checking import check
from onefold_storage.contracts import Contract
from onefold_storage.workspace import Workspace
from onefold_workers.connectors import deliveries
from onefold_workers.data_uses import DataUses
from onefold_workers.mapping import silver_rows
from onefold_workers.survivorship import Survivorship

HERE = Path(str(resources.files("onefold.demo")))
SOURCES = (
    "campaigns",
    "coupon_redemptions",
    "crm_accounts",
    "crm_contacts",
    "crm_deals",
    "demographics",
    "loyalty_app",
    "newsletter",
    "pos_transactions",
    "products",
    "shop_accounts",
    "support_cases",
)
SMALL = tuple(s for s in SOURCES if s not in ("pos_transactions", "loyalty_app"))
SERVED = {"loyalty_app": "loyalty_app.ndjson", "store_scanners": "scanner_events.ndjson"}
"""What a server or a stream brings, by the file that it is kept in; rows are the same."""
STREAMS = tuple(f"workspace_{how}/contracts/store_scanners.yaml" for how in ("http", "mqtt"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoFiles]:
    root = tmp_path_factory.mktemp("home")
    shutil.copytree(HERE / "workspace", root / "workspace")
    return root / "workspace", generate(root / "demo")


def _rows(contract: Contract, workspace: Path) -> pa.Table:
    """Everything that lies at the contract's location as bronze would hold it; no row may break the contract."""
    landed = pl.lit(datetime(2018, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    frames = []
    for delivery in deliveries(contract, workspace):
        for batch in delivery.batches:
            checked = check(contract, batch)
            assert not checked.bad, checked.bad[0].message
            assert checked.rows["_extra"].null_count() == checked.rows.height, "columns beyond the contract"
            frames.append(checked.rows)
    rows = pl.concat(frames).with_columns(_package_id=pl.lit("p1"), _landed_at=landed)
    return rows.drop("_extra").to_arrow()


def test_every_contract_is_valid_and_complete() -> None:
    workspace = Workspace.open(HERE / "workspace")
    found = {c.id: c for c in workspace.contracts()}
    assert tuple(sorted(found)) == SOURCES
    generated = {"crm_contacts", "crm_accounts", "crm_deals", "shop_accounts", "newsletter", "support_cases"}
    generated |= {"loyalty_app", "store_scanners"}
    streams = [
        contracts.read(HERE / f"workspace_{how}" / "contracts" / "store_scanners.yaml") for how in ("http", "mqtt")
    ]
    assert [c.rules.connector for c in streams] == ["http", "mqtt"]
    for source, contract in [*found.items(), *((c.id, c) for c in streams)]:
        assert contract.rules.generated == (source in generated), source
        words = contract.description.lower()
        assert ("generated" if source in generated else "simulated") in words, source
        assert contract.rules.freshness, source
        assert contract.rules.retention or not contract.kinds, source
        assert set(contract.rules.data_use) <= set(DataUses().data_uses), source
    assert contracts.read(HERE / "workspace_full" / "contracts" / "promotions.yaml").maps == ()


def test_rules_of_the_workspace_are_valid() -> None:
    survivorship = yaml.safe_load((HERE / "workspace" / "survivorship.yaml").read_text())
    assert Survivorship.of(survivorship, "survivorship.yaml").groups["address"].needs == ("street", "city")
    uses = yaml.safe_load((HERE / "workspace" / "data_uses.yaml").read_text())
    assert DataUses.of(uses, "data_uses.yaml").data_uses["marketing"]["post"] == "legitimate_interest"


def test_every_file_keeps_its_contract_and_maps_to_silver(home: tuple[Path, DemoFiles]) -> None:
    workspace, files = home
    truth = set(pl.read_parquet(files.truth)["record_key"])
    keys: set[str] = set()
    counts: dict[str, int] = {}
    consents = []
    for source in SMALL:
        contract = contracts.read(workspace / "contracts" / f"{source}.yaml")
        for name, table in silver_rows(contract, _rows(contract, workspace)).items():
            counts[f"{source} {name}"] = table.num_rows
            if name == "silver/contact_records":
                keys |= set(table.column("record_key").to_pylist())
            if name == "silver/consents":
                consents.append(pl.DataFrame(pl.from_arrow(table)))
    assert keys == {k for k in truth if k.split(":")[0] not in ("pos_transactions", *SERVED)}
    assert counts["campaigns silver/interactions"] == 6_589
    assert counts["campaigns silver/items"] == 27
    assert counts["coupon_redemptions silver/interactions"] == 2_102
    assert counts["products silver/items"] == 92_331
    assert counts["crm_accounts silver/accounts"] == 120
    assert counts["crm_deals silver/cases"] == 400
    assert 200 < counts["crm_contacts silver/relations"] < 400
    said = pl.concat(consents).filter(~pl.col("deleted"))
    assert set(said["state"]) == {"GRANTED", "DENIED", "REVOKED"}
    assert set(said["channel"]) == {"email", "phone", "post", "sms"}
    assert set(said["data_use"]) == {"marketing"}


@pytest.mark.parametrize("where", ["workspace/contracts/loyalty_app.yaml", *STREAMS])
def test_what_is_served_or_streamed_keeps_its_contract_and_maps_to_silver(
    home: tuple[Path, DemoFiles], where: str
) -> None:
    """The rows are read from the file that the server or the stream takes them from."""
    workspace, files = home
    document = yaml.safe_load((HERE / where).read_text())
    rules = document["customProperties"][0]["value"]
    rules |= {"connector": "files", "location": f"../demo/{SERVED[document['id']]}", "options": {}}
    rules |= {"durability": "log"}
    contract = contracts.parse(yaml.safe_dump(document), where)
    silver = silver_rows(contract, _rows(contract, workspace))
    truth = set(pl.read_parquet(files.truth)["record_key"])
    keys = set(silver["silver/contact_records"].column("record_key").to_pylist())
    assert keys == {k for k in truth if k.startswith(f"{contract.id}:")}
    if contract.id == "store_scanners":
        events = pl.DataFrame(pl.from_arrow(silver["silver/interactions"]))
        assert events.height == FIRST + LIVE
        assert set(events["kind"]) == {"scanner_unlocked", "item_scanned", "item_put_back"}
        assert set(events["contact_key"].drop_nulls()) == keys
        assert events["contact_key"].null_count() > 50  # guests: of nobody
    else:
        said = pl.DataFrame(pl.from_arrow(silver["silver/consents"])).filter(~pl.col("deleted"))
        assert set(said["state"]) == {"GRANTED"}


def test_purchases_are_of_2017_where_the_stores_are(home: tuple[Path, DemoFiles]) -> None:
    """The file's times are UTC: read as local time, the last ones would be of the next year."""
    workspace, files = home
    contract = contracts.read(workspace / "contracts" / "pos_transactions.yaml")
    batch = next(iter(next(deliveries(contract, workspace)).batches))
    checked = check(contract, batch)
    assert not checked.bad
    assert contract.rules.timezone == "UTC"
    at = pl.scan_parquet(files.files["pos_transactions"]).select(
        pl.col("transaction_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    )
    years = at.select(pl.col("transaction_timestamp").dt.year().unique()).collect()
    assert years["transaction_timestamp"].to_list() == [2017]
