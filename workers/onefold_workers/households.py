"""Households: which customers live together, the second level of grouping, with IDs as stable as golden ones.

Customers are one household where a source says so (relations of kind `household`), or where they have one family name
at one address. People of other names at one address may be neighbours: without a source's word they are none.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from onefold_storage.schema import HOUSEHOLDS
from onefold_workers.identity.clustering import components
from onefold_workers.identity.golden_ids import assign_golden_ids

KIND = "household"
MOST = 12
"""Customers of one name at one address from which on it is no household, but a home, an office or a default value."""
_SHAPE = pl.Schema(HOUSEHOLDS.arrow)


def households(customers: pl.DataFrame, relations: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """golden_id, cluster (int) of every customer that lives with another.

    `customers`: golden_id, family_name and the fields of an address. `relations`: from_key, to_key of households; an
    end is a record's key or stands for a household of its own. `links`: record_key, golden_id.
    """
    owner = links.select(key="record_key", owner="golden_id")
    ends = []
    for end in ("from_key", "to_key"):
        named = relations.select(key=end).join(owner, on="key", how="left", maintain_order="left")
        ends.append(named.select(pl.coalesce("owner", pl.concat_str(pl.lit("\x00r"), "key"))).to_series())
    pairs = pl.concat([_together(customers), pl.DataFrame({"a": ends[0], "b": ends[1]})])
    names = pl.concat([pairs["a"], pairs["b"]]).unique().sort()
    node = pl.DataFrame({"name": names, "node": np.arange(len(names))})
    left, right = (pairs.select(name=c).join(node, on="name", maintain_order="left")["node"] for c in ("a", "b"))
    found = node.with_columns(cluster=pl.Series(components(len(names), left.to_numpy(), right.to_numpy())))
    own = found.join(customers.select("golden_id"), left_on="name", right_on="golden_id", how="semi")
    several = own.filter(pl.len().over("cluster") > 1)
    return several.select(golden_id="name", cluster=pl.col("cluster").cast(pl.Int64)).sort("golden_id")


def assign_households(found: pl.DataFrame, before: pl.DataFrame, now: datetime, salt: str) -> pl.DataFrame:
    """The whole table `identity/households` after a run: IDs stay with the majority, merges go to the oldest.

    `found`: as `households` gives it. `before`: the table as it stands.
    """
    names = {"golden_id": "record_key", "household_id": "golden_id"}
    links, _ = assign_golden_ids(
        found.rename({"golden_id": "record_key"}), before.rename(names), now, salt=f"{salt}:household", prefix="h"
    )
    return links.rename({b: a for a, b in reversed(names.items())}).select(*_SHAPE)


def _together(customers: pl.DataFrame) -> pl.DataFrame:
    """a: customer, b: the name and address that it shares with others."""
    plain = [
        pl.col(c).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "").fill_null("").alias(c)
        for c in ("family_name", "house_number", "street", "address_line2", "postcode", "city")
    ]
    known = customers.select("golden_id", *plain)
    place = pl.when(pl.col("postcode") != "").then("postcode").otherwise("city")
    known = known.filter((pl.col("family_name") != "") & (pl.col("street") != "") & (place != ""))
    key = pl.concat_str(
        pl.lit("\x00a"), "family_name", "house_number", "street", "address_line2", place, separator="\x1f"
    )
    shared = known.select(a="golden_id", b=key).with_columns(n=pl.len().over("b"))
    return shared.filter(pl.col("n").is_between(2, MOST)).select("a", "b")
