"""Golden IDs: opaque, stable over runs; merges go to the oldest, splits leave the ID with the majority.

An ID is made from the key of the cluster's first record by a keyed hash, so that two runs over the same
records agree, and nobody reads the key out of it.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime

import polars as pl

from onefold_storage.schema import HISTORY, LINKS

_LINKS = pl.Schema(LINKS.arrow)
_PINNED = 2**40
"""Counts for more than any number of records."""
_HISTORY = pl.Schema(HISTORY.arrow)


def assign_golden_ids(
    clusters: pl.DataFrame,
    links: pl.DataFrame,
    now: datetime,
    *,
    cause: str | None = None,
    salt: str = "onefold",
    pins: pl.DataFrame | None = None,
    prefix: str = "g",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give every cluster its golden ID.

    Args:
        clusters: record_key, cluster.
        links: the table `identity/links` as it stands; empty at first.
        now: when the changes take effect.
        cause: what is written into history as the cause, such as the identity model's version.
        salt: key of the hashes that IDs are made with.
        prefix: first letter of new IDs.
        pins: record_key, golden_id: a cluster with such a record gets this ID, whatever is older or larger.

    Returns:
        The new full table of links (open ones of changed and vanished records closed at `now`), and the rows
        to append to `identity/history`. Where nothing changed, links are as before and history has no row.
    """
    clusters = clusters.select("record_key", "cluster")
    key = clusters["record_key"]
    if not key.is_sorted() or (key == key.shift(1)).any():
        clusters = clusters.unique("record_key").sort("record_key")
    links = links.select(*_LINKS).cast(_LINKS) if links.width else pl.DataFrame(schema=_LINKS)
    old = links.filter(pl.col("valid_to").is_null()).select("record_key", old="golden_id")
    joined = clusters.join(old, on="record_key", how="left", maintain_order="left")
    vanished = old.head(0)
    if joined["old"].count() < old.height:
        vanished = old.join(clusters, on="record_key", how="anti")
    part = _touched(joined, pins)
    homes = _homes(part, links, pins)
    ids = _named(part, homes, links, old["old"], salt, prefix)
    new = part.join(ids, on="cluster", maintain_order="left")
    changed = new.filter(pl.col("old").is_null() | (pl.col("old") != pl.col("golden_id")))
    ended = pl.concat([vanished.select("record_key"), changed.drop_nulls("old").select("record_key")])
    if ended.height:
        known = links.join(ended.with_columns(_ends=True), on="record_key", how="left", maintain_order="left")
        closed = pl.when("_ends").then(pl.lit(now, dtype=_LINKS["valid_to"]))
        links = known.with_columns(valid_to=pl.coalesce("valid_to", closed)).drop("_ends")
    opened = changed.select(
        "record_key",
        "golden_id",
        valid_from=pl.lit(now, dtype=_LINKS["valid_from"]),
        valid_to=pl.lit(None, dtype=_LINKS["valid_to"]),
    )
    after = pl.concat([links, opened]) if opened.height else links
    if not after["record_key"].is_sorted():
        after = after.sort("record_key", "valid_from", maintain_order=True)
    return after, _events(new, homes, now, cause)


def _touched(joined: pl.DataFrame, pins: pl.DataFrame | None) -> pl.DataFrame:
    """The records of clusters that are not just what one golden ID holds already; the others stay as they are."""
    coded = joined.with_columns(o=pl.col("old").cast(pl.Categorical).to_physical())
    o, c = pl.col("o"), pl.col("cluster")
    several = coded.group_by("cluster").agg(bad=(o.min() != o.max()) | (o.null_count() > 0)).filter("bad")
    spread = coded.drop_nulls("o").group_by("o").agg(bad=c.min() != c.max()).filter("bad")
    touched = [several.select("cluster"), coded.join(spread, on="o", how="semi").select("cluster")]
    if pins is not None and pins.height:
        moved = joined.join(pins, on="record_key").filter(pl.col("old").ne_missing(pl.col("golden_id")))
        holders = joined.filter(pl.col("old").is_in(moved["golden_id"].implode()))
        touched += [moved.select("cluster"), holders.select("cluster")]
    return joined.join(pl.concat(touched), on="cluster", how="semi", maintain_order="left")


def _homes(joined: pl.DataFrame, links: pl.DataFrame, pins: pl.DataFrame | None) -> pl.DataFrame:
    """For each open golden ID the cluster that has most of its records; `keeps` marks the cluster's keeper.

    Records whose first ID it is count before those that came by a merge, so that undoing the merge gives both back.
    A pinned ID, open or not, has its home where its record is, and comes before others.
    """
    ids = pl.concat([joined["old"].drop_nulls(), *([] if pins is None else [pins["golden_id"]])]).unique()
    age = (
        links.filter(pl.col("golden_id").is_in(ids.implode()))
        .group_by(old="golden_id")
        .agg(born=pl.col("valid_from").min())
    )
    held = joined.drop_nulls("old")
    first = links.join(held, on="record_key", how="semi", maintain_order="left").sort(
        "valid_from", maintain_order=True
    )
    first = first.unique("record_key", keep="first", maintain_order=True).select("record_key", first="golden_id")
    native = (pl.col("first") == pl.col("old")).sum().cast(pl.Int64)
    overlap = (
        held.join(first, on="record_key", how="left")
        .group_by("old", "cluster")
        .agg(native=native, n=pl.len().cast(pl.Int64), key=pl.col("record_key").min())
    )
    if pins is not None and pins.height:
        pinned = pins.join(joined.select("record_key", "cluster"), on="record_key").select(
            old="golden_id", cluster="cluster", native=pl.lit(_PINNED), n=pl.lit(_PINNED), key="record_key"
        )
        overlap = pl.concat([overlap, pinned])
    home = overlap.sort(["old", "native", "n", "key"], descending=[False, True, True, False]).unique(
        "old", keep="first", maintain_order=True
    )
    home = home.join(age, on="old", how="left").with_columns(pinned=pl.col("n") == _PINNED)
    home = home.sort(
        ["cluster", "pinned", "born", "n", "key"], descending=[False, True, False, True, False], nulls_last=True
    )
    return home.select("old", "cluster", keeps=pl.int_range(pl.len()).over("cluster") == 0)


def _named(
    joined: pl.DataFrame, homes: pl.DataFrame, links: pl.DataFrame, held: pl.Series, salt: str, prefix: str
) -> pl.DataFrame:
    """cluster, golden_id: the keeper's, else one that its records had before, else a new one.

    Of several that they had before, the one that was theirs most: fewest others ever had it. `held`: golden IDs of
    all open links, which nobody else can get.
    """
    kept = homes.filter("keeps").select("cluster", golden_id="old")
    bare = joined.join(kept, on="cluster", how="anti")
    in_use = pl.concat([homes["old"], held]).unique().implode()
    once = links.filter(pl.col("valid_to").is_not_null()).join(
        bare.select("record_key", "cluster"), on="record_key"
    )
    once = once.filter(~pl.col("golden_id").is_in(in_use))
    ever = links.filter(pl.col("golden_id").is_in(once["golden_id"].unique().implode()))
    before = (
        once.group_by("cluster", "golden_id")
        .agg(n=pl.col("record_key").n_unique(), last=pl.col("valid_to").max(), key=pl.col("record_key").min())
        .join(ever.group_by("golden_id").agg(ever=pl.col("record_key").n_unique()), on="golden_id")
        .sort(["n", "ever", "last", "golden_id", "key"], descending=[True, False, True, False, False])
        .unique("golden_id", keep="first", maintain_order=True)
        .unique("cluster", keep="first", maintain_order=True)
        .select("cluster", "golden_id")
    )
    fresh = bare.join(before, on="cluster", how="anti").group_by("cluster").agg(key=pl.col("record_key").min())
    taken = pl.concat([links["golden_id"], kept["golden_id"], before["golden_id"]])
    named = _fresh(fresh.sort("key"), taken, salt, prefix)
    return pl.concat([kept, before, named])


def _fresh(clusters: pl.DataFrame, taken: pl.Series, salt: str, prefix: str) -> pl.DataFrame:
    """New IDs from the first record's key; where one was given before, the next in its row."""
    done = []
    for turn in range(10_000):
        if not clusters.height:
            break
        named = clusters.with_columns(
            golden_id=pl.Series(_hashes(clusters["key"].to_list(), turn, salt, prefix), dtype=pl.String)
        )
        free = ~named["golden_id"].is_in(taken.implode())
        done.append(named.filter(free).select("cluster", "golden_id"))
        clusters = clusters.filter(~free)
    return pl.concat(done) if done else pl.DataFrame(schema={"cluster": pl.Int64, "golden_id": pl.String})


def _hashes(keys: list[str], turn: int, salt: str, prefix: str) -> list[str]:
    key = salt.encode()[:64]
    digests = (hashlib.blake2b(f"{turn}:{k}".encode(), digest_size=16, key=key).digest() for k in keys)
    return [prefix + base64.b32encode(d)[:26].decode().lower() for d in digests]


def _events(new: pl.DataFrame, homes: pl.DataFrame, now: datetime, cause: str | None) -> pl.DataFrame:
    keeper = homes.filter("keeps").select("cluster", survivor="old")
    counts = new.group_by("old", "golden_id").agg(records=pl.len())
    merged = homes.filter(~pl.col("keeps")).join(keeper, on="cluster").select(golden_id="old", other_id="survivor")
    merged = merged.join(counts, left_on=["golden_id", "other_id"], right_on=["old", "golden_id"])
    moved = counts.filter(pl.col("old").is_not_null() & (pl.col("old") != pl.col("golden_id"))).rename(
        {"old": "golden_id", "golden_id": "other_id"}
    )
    split = moved.join(merged, on=["golden_id", "other_id"], how="anti")
    made = new.group_by("golden_id").agg(records=pl.len())
    created = made.join(new.select(golden_id="old"), on="golden_id", how="anti").join(
        split.select(golden_id="other_id"), on="golden_id", how="anti"
    )
    parts = [
        created.select(
            "golden_id", event=pl.lit("created"), other_id=pl.lit(None, dtype=pl.String), records="records"
        ),
        split.select("golden_id", event=pl.lit("split"), other_id="other_id", records="records"),
        merged.select("golden_id", event=pl.lit("merged"), other_id="other_id", records="records"),
    ]
    out = pl.concat([p.cast({"records": pl.Int64}) for p in parts]).sort("event", "golden_id", "other_id")
    return out.with_columns(
        cause=pl.lit(cause, dtype=pl.String), happened_at=pl.lit(now, dtype=_HISTORY["happened_at"])
    ).select(*_HISTORY)
