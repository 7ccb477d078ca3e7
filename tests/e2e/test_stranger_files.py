"""The stranger's files are what they are said to be."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import polars as pl


def test_files_of_other_packages_with_other_headers(stranger: ModuleType, tmp_path: Path) -> None:
    files = stranger.build(tmp_path)
    orders = pl.read_csv(files.orders, try_parse_dates=True)
    assert orders.height == 69_659
    assert orders["Member No"].n_unique() == 23_570
    assert orders["Order Date"].dtype == pl.Date
    assert str(orders["Order Date"].min()) == "1997-01-01"
    assert str(orders["Order Date"].max()) == "1998-06-30"
    assert abs(orders["Paid (USD)"].sum() - 2_500_315.63) < 0.01
    members = pl.read_csv(files.members, separator=";")
    assert members.height == 2_000
    assert set(members["Member No"]) <= set(orders["Member No"])
    registry, calls = pl.read_csv(files.registry), pl.read_ndjson(files.calls)
    assert (registry.height, calls.height) == (3_000, 5_000)


def test_truth_pairs_everybody_with_one_call(stranger: ModuleType, tmp_path: Path) -> None:
    files = stranger.build(tmp_path, members=500, customers=800)
    truth = files.truth
    assert truth.select("file", "key").is_unique().all()
    assert (truth.group_by("person").len()["len"] == 2).all()
    assert (truth.group_by("person").agg(pl.col("file").n_unique())["file"] == 2).all()
    keys = {f: set(truth.filter(file=f)["key"]) for f in ("members.csv", "registry.csv", "calls.ndjson")}
    assert keys["members.csv"] == {str(n) for n in range(1, 501)}
    assert keys["registry.csv"] == set(pl.read_csv(files.registry)["rec_id"])
    assert keys["calls.ndjson"] == set(pl.read_ndjson(files.calls)["id"])
    assert pl.read_csv(files.orders)["Member No"].max() == 800
