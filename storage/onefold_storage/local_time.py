"""Local time to UTC, where a clock change repeats an hour or skips one."""

from __future__ import annotations

import polars as pl


def localise(naive: pl.Expr, zone: str) -> pl.Expr:
    """Local time to UTC; an hour that a clock change repeats is its first, one it skips is an hour later."""

    def placed(e: pl.Expr) -> pl.Expr:
        return e.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")

    return pl.coalesce(placed(naive), placed(naive.dt.offset_by("1h"))).dt.convert_time_zone("UTC")
