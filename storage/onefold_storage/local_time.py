"""Times as they are written to UTC: what names no zone is local, and a clock change repeats an hour or skips one."""

from __future__ import annotations

import re

import polars as pl

_NAMES_A_MOMENT = re.compile(r"(?<!%)(?:%%)*%(?:[:#]*z|s|\+)")
"""Codes of an offset from UTC, or of seconds since 1970, which are the same moment in every zone."""


def localise(naive: pl.Expr, zone: str) -> pl.Expr:
    """Local time to UTC; an hour that a clock change repeats is its first, one it skips is an hour later."""

    def placed(e: pl.Expr) -> pl.Expr:
        return e.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")

    return pl.coalesce(placed(naive), placed(naive.dt.offset_by("1h"))).dt.convert_time_zone("UTC")


def in_format(text: pl.Expr, form: str, zone: str) -> pl.Expr:
    """Text read by a strftime format, in UTC to the microsecond; null where it is written otherwise.

    A format that names no moment by itself is of local time in `zone`; a day is its midnight there.
    """
    if _NAMES_A_MOMENT.search(form):
        return text.str.to_datetime(form, strict=False, time_zone="UTC", time_unit="us")
    return localise(text.str.to_datetime(form, strict=False, time_unit="us"), zone)
