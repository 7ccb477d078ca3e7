"""What was known at a moment: the tables as of a cut-off, and what happened in a horizon after it.

`History` holds the rows of one partition of customers and hands out `Tables` that end at a cut-off (for features)
or that span a horizon (for labels). It is the only place that filters by time, so no view can see past the
cut-off. A row is visible from its `effective_at` until a later version of the same `record_key` takes effect.
Whoever fills it gives all versions of a record, in the order they landed, or says of each in `UNTIL` until when it
held: where versions belong to several customers they never meet in one partition.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime

import polars as pl

from onefold_storage import schema
from onefold_workers.money import OTHER, Reckoning

PURCHASE = "purchase"
UNTIL = "_until"
"""Until when a row's version held: the `effective_at` of the record's next one; null where it is the last."""
_TIME = pl.Datetime("us", "UTC")
_UNUSED = ("source", "package_id", "row_id", "contact_key")


@dataclass(frozen=True)
class Tables:
    """What a view or a label may read, all of one partition of customers but `items`, which is whole.

    `interactions`, `cases`, `consents`: silver's columns and `golden_id`; `amount` as Float64 in the currency that money
    is reckoned in, null where it is in another one (`money.py`).
    `items`: silver's. `customers`: `golden_id`, `first_seen` (nothing else of a golden record is known as of a
    cut-off). `baskets`: purchases that belong together: golden_id, basket, effective_at, channel, amount,
    quantity, lines, visit (false for a return: amount below 0); amount is null where all of it is in another currency.
    `lines`: bought items: golden_id, effective_at,
    item_key, category, amount, quantity (null counts as 1).
    """

    interactions: pl.LazyFrame
    items: pl.LazyFrame
    customers: pl.LazyFrame
    cases: pl.LazyFrame
    consents: pl.LazyFrame
    baskets: pl.LazyFrame
    lines: pl.LazyFrame


def _empty(table: schema.Table, *extra: str) -> pl.DataFrame:
    frame = pl.DataFrame(schema=pl.Schema(table.arrow))
    return frame.with_columns(pl.lit(None, pl.String).alias(c) for c in extra)


def _shaped(frame: pl.LazyFrame | pl.DataFrame | None, table: schema.Table, *extra: str) -> pl.DataFrame:
    """The table's columns (missing ones as nulls), without those that no view needs, money as Float64; and `UNTIL`."""
    empty = _empty(table, *extra).drop(_UNUSED, strict=False)
    if frame is None:
        given = empty
    else:
        lazy = frame.lazy()
        present = lazy.collect_schema().names()
        if UNTIL in present:
            empty = empty.with_columns(pl.lit(None, _TIME).alias(UNTIL))
        kept = lazy.select(pl.col(c).cast(t) for c, t in empty.schema.items() if c in present)
        given = kept.collect().with_columns(
            pl.lit(None, t).alias(c) for c, t in empty.schema.items() if c not in present
        )
    money = [c for c, t in given.schema.items() if isinstance(t, pl.Decimal)]
    return given.select(empty.columns).with_columns(pl.col(money).cast(pl.Float64))


def superseded_at() -> pl.Expr:
    """`UNTIL` of each row of a table that has its versions in order."""
    return pl.col("effective_at").shift(-1).over("record_key").alias(UNTIL)


def versioned(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `UNTIL`, unless it is there, to rows in the order they landed."""
    frame = frame.with_columns(pl.col("deleted").fill_null(False))
    if UNTIL in frame.columns:
        return frame
    if frame["record_key"].n_unique() == frame["record_key"].len() - frame["record_key"].null_count():
        return frame.with_columns(pl.lit(None, _TIME).alias(UNTIL))
    known = pl.when(pl.col("record_key").is_not_null())
    return frame.sort("effective_at", maintain_order=True).with_columns(known.then(superseded_at()).alias(UNTIL))


def sampled(share: float) -> pl.Expr:
    """Whether a golden ID is among a share of them, by its hash."""
    return pl.lit(True) if share >= 1 else pl.col("golden_id").hash(seed=11) < int(share * (2**64 - 1))


def offer_unit(items: pl.DataFrame) -> str:
    """The column of `items` that offers are made in: the first of category, department and name that has values.

    None has: the item itself, by its key.
    """
    return next((c for c in ("category", "department", "name") if items[c].null_count() < items.height), "")


@dataclass(frozen=True)
class History:
    """All rows of one partition of customers, prepared once and then read at many cut-offs."""

    interactions: pl.DataFrame
    items: pl.DataFrame
    customers: pl.DataFrame
    cases: pl.DataFrame
    consents: pl.DataFrame
    baskets: pl.DataFrame
    lines: pl.DataFrame

    @classmethod
    def of(
        cls,
        interactions: pl.LazyFrame | pl.DataFrame,
        items: pl.LazyFrame | pl.DataFrame | None = None,
        customers: pl.LazyFrame | pl.DataFrame | None = None,
        cases: pl.LazyFrame | pl.DataFrame | None = None,
        consents: pl.LazyFrame | pl.DataFrame | None = None,
        reckoning: Reckoning = Reckoning(),  # noqa: B008 - frozen
    ) -> History:
        """Prepare silver's rows (with `golden_id`) and gold's customers of one partition; `items` whole.

        Missing tables and columns count as empty. Rows without a golden ID are left out. `reckoning`: the currency
        of all money, the same for every partition.
        """
        rows = versioned(reckoning.applied(_shaped(interactions, schema.INTERACTIONS, "golden_id")))
        rows = rows.drop_nulls("golden_id")
        things = _described(versioned(_shaped(items, schema.ITEMS)))
        people = _shaped(customers, schema.CUSTOMERS).select("golden_id", "first_seen")
        bought = _bought(rows, things)
        return cls(
            rows,
            things,
            people,
            versioned(reckoning.applied(_shaped(cases, schema.CASES, "golden_id"))).drop_nulls("golden_id"),
            versioned(_shaped(consents, schema.CONSENTS, "golden_id")).drop_nulls("golden_id"),
            _baskets(bought),
            bought.filter(pl.coalesce("amount", OTHER, 0.0) >= 0).drop("basket", "channel"),
        )

    def sampled(self, share: float) -> History:
        """The rows of a share of the customers, always the same ones; a smaller share is part of a larger."""
        if share >= 1:
            return self
        frames = {f.name: getattr(self, f.name) for f in fields(self)}
        mine = sampled(share)
        return History(**{n: f if n == "items" else f.filter(mine) for n, f in frames.items()})

    def before(self, cutoff: datetime) -> Tables:
        """The tables as they were known just before `cutoff` (a time with a zone)."""
        return self._window(None, cutoff)

    def between(self, start: datetime, end: datetime) -> Tables:
        """What took effect in [start, end), as known just before `end`; customers and items as of `end`."""
        return self._window(start, end)

    def _window(self, start: datetime | None, end: datetime) -> Tables:
        known = (pl.col("effective_at") < end) & ~pl.col("deleted")
        known &= pl.col(UNTIL).is_null() | (pl.col(UNTIL) >= end)
        inside = known if start is None else known & (pl.col("effective_at") >= start)

        def rows(frame: pl.DataFrame, which: pl.Expr) -> pl.LazyFrame:
            return frame.lazy().filter(which).drop("deleted", UNTIL, OTHER, strict=False)

        timed = {n: rows(getattr(self, n), inside) for n in ("interactions", "cases", "consents", "lines")}
        baskets = (
            self.baskets.lazy()
            .filter(inside)
            .group_by("golden_id", "basket")
            .agg(
                pl.col("effective_at").max(),
                pl.col("channel").first(),
                pl.when(pl.col("amount").count() > 0).then(pl.col("amount").sum()),
                pl.col("quantity", "lines", OTHER).sum(),
            )
            .with_columns(visit=pl.coalesce("amount", OTHER) >= 0)
            .drop(OTHER)
        )
        return Tables(
            items=rows(self.items, known),
            customers=self.customers.lazy().filter(pl.col("first_seen") < end),
            baskets=baskets,
            **timed,
        )


def _described(items: pl.DataFrame) -> pl.DataFrame:
    """Items whose first version holds from the beginning: a catalogue landed late still describes what was sold."""
    first = pl.col("effective_at") == pl.col("effective_at").min().over("record_key")
    start = pl.lit(datetime(1, 1, 1, tzinfo=UTC)).cast(_TIME)
    return items.with_columns(pl.when(first).then(start).otherwise(pl.col("effective_at")).alias("effective_at"))


def _bought(rows: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Purchase lines with their item's category (the version that held when it was bought) and their basket."""
    unit = offer_unit(items)
    purchases = rows.filter(pl.col("kind") == PURCHASE).select(
        "golden_id",
        "effective_at",
        "channel",
        "item_key",
        "amount",
        pl.col("quantity").fill_null(1.0),
        pl.coalesce("related_key", pl.col("effective_at").dt.strftime("%F")).alias("basket"),
        "deleted",
        UNTIL,
        OTHER,
    )
    if not unit:
        return purchases.with_columns(category=pl.col("item_key").str.replace(r"^[^:]*:", ""))
    named = items.filter(~pl.col("deleted"), pl.col(unit).is_not_null())
    named = named.select("record_key", "effective_at", category=pl.col(unit).cast(pl.String))
    if named["record_key"].n_unique() == named.height:
        return purchases.join(named.drop("effective_at"), left_on="item_key", right_on="record_key", how="left")
    return (
        purchases.sort("effective_at", maintain_order=True)
        .join_asof(
            named.sort("effective_at", maintain_order=True),
            on="effective_at",
            by_left="item_key",
            by_right="record_key",
            check_sortedness=False,
        )
        .drop("record_key", strict=False)
    )


def _baskets(bought: pl.DataFrame) -> pl.DataFrame:
    """Lines of one basket and one moment as one row: a cut-off may still fall between two of them."""
    keys = ["golden_id", "basket", "effective_at", "deleted", UNTIL]
    return bought.group_by(keys, maintain_order=True).agg(
        pl.col("channel").first(),
        pl.when((pl.col("amount").count() > 0) | (pl.col(OTHER).count() == 0)).then(pl.col("amount").sum()),
        pl.col("quantity", OTHER).sum(),
        pl.len().cast(pl.Int64).alias("lines"),
    )
