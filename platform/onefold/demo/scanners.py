"""The generated stream: what hand scanners in the stores tell while their customers shop.

A customer unlocks a scanner with the loyalty card, or as a guest, and scans what goes into the basket. `written` gives
all events in the order of time: `FIRST` of them have happened when the demo begins, the rest happen while it serves.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from onefold.demo.mistakes import chosen, either

FIRST = 2_400
"""Events from the days before the demo's now; every run of the demo sees to it that these have landed."""
LIVE = 1_800
"""Events of the last twelve hours before it, sent one after the other while the demo serves."""
_OPENS, _NOON = datetime(2017, 12, 28, 13), datetime(2017, 12, 31, 17)
"""In UTC; the stores are in New York, where it is 8 o'clock and noon, and the year is not over yet."""
_OPEN_S = 12 * 3600 - 60
_GUESTS = 0.06


def written(purchases: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """All events, one row each. `purchases`: household_id, store_id, product_id, from which baskets are drawn."""
    parts = [_baskets(purchases, FIRST, _OPENS, 3, rng), _baskets(purchases, LIVE, _NOON, 1, rng)]
    events = pl.concat(parts).with_row_index("n", offset=1)
    number = pl.format("e-{}", pl.col("n").cast(pl.String).str.zfill(6))
    return events.select(number.alias("event_id"), pl.exclude("n"), generated=pl.lit(value=True))


def _baskets(
    purchases: pl.DataFrame, n: int, begins: datetime, days: int, rng: np.random.Generator
) -> pl.DataFrame:
    """`n` events of baskets of 4 to 14 scans, in the twelve hours from `begins` on of each day."""
    sizes = rng.integers(4, 15, n // 4 + 1)
    of = np.repeat(np.arange(len(sizes)), sizes)[:n]
    drawn = purchases[rng.integers(0, purchases.height, len(sizes)).tolist()]
    guest = chosen(rng, len(sizes), _GUESTS)
    card = either(guest, np.full(len(sizes), None), drawn["household_id"].to_numpy().astype(object))
    store = drawn["store_id"].to_numpy()
    first = np.concatenate([[True], of[1:] != of[:-1]])
    step = np.where(first, 0, rng.integers(15, 90, n))
    since = np.cumsum(step) - np.cumsum(step)[np.flatnonzero(first)][of]
    start = rng.integers(0, days, len(sizes)) * 86_400 + rng.integers(0, _OPEN_S - 14 * 90, len(sizes))
    action = np.where(first, "unlocked", np.where(rng.random(n) < 0.05, "put_back", "scanned"))
    shelf = purchases["product_id"].to_numpy()[rng.integers(0, purchases.height, n)]
    return pl.DataFrame(
        {
            "scanner": [f"{s}-{k:02d}" for s, k in zip(store[of], (of % 24) + 1, strict=True)],
            "store": store[of],
            "card": pl.Series(card[of].tolist(), dtype=pl.Int64),
            "action": action,
            "product": pl.Series(either(first, np.full(n, None), shelf.astype(object)).tolist(), dtype=pl.Int64),
            "at": [(begins + timedelta(seconds=int(s))).strftime("%Y-%m-%dT%H:%M:%SZ") for s in start[of] + since],
        }
    ).sort("at", "scanner", maintain_order=True)
