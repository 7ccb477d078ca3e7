"""How a column's dates and times are written: the one strftime format that reads them, found by trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

Cleaner = Callable[[pl.Expr], pl.Expr]
_ISO_TIMES = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
_ISO_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
_DAYS = (
    "%Y-%m-%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%y",
)  # fmt: skip
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_LEAST = 0.5
_LOOKED_AT = 500
_SOME, _MOST = 0.005, 3


@dataclass(frozen=True)
class Form:
    """`format`: strftime, None for ISO 8601; `share` of values it reads; `times`: with a time of day;
    `ambiguous`: day and month could be the other way round; `first` and `last` year read. `more`: forms of the values
    that it does not read; `covered`: share that it and those read.
    """

    format: str | None
    share: float
    times: bool
    ambiguous: bool
    first: int
    last: int
    native: bool = False
    more: tuple[str | None, ...] = ()
    covered: float = 0.0

    @property
    def formats(self) -> tuple[str, ...]:
        """Its format and those beside it; ISO 8601 with a time has none, and is read in any case."""
        return tuple(f for f in (self.format, *self.more) if f)


def form(text: pl.Series, dtype: pl.DataType, *, month_first: bool = False) -> Form | None:
    """The form that reads most of the values, or None where no form reads half of them.

    `month_first`: of two that read as many, the one that begins with the month; a clock of twelve hours says so too.
    """
    if isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        days = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        midnight = text.str.contains(r"^\d{4}-\d{2}-\d{2}(?:[T ]00:00:00(?:\.0+)?.*)?$").all()
        return _form(None, days, times=not midnight, native=True) if days.len() else None
    if dtype.is_float() or dtype == pl.Boolean or not text.len():
        return None
    # A form that fails on the first few hundred values is not worth trying on all.
    few = text.head(_LOOKED_AT)
    found: list[Form] = []
    for written, days, times in _readings(few):
        if days.is_not_null().mean() >= _LEAST:  # type: ignore[operator]
            found.append(_form(written, _read(text, written), times=times))
    plausible = [f for f in found if f.share >= _LEAST and f.first >= _first_year(f) and f.last <= 2150]
    if not plausible:
        return None
    best = max(plausible, key=lambda f: f.share)
    rivals = [f for f in plausible if f.share == best.share and f.format != best.format]
    swapped = [f for f in rivals if {"%d", "%m"} == {(f.format or "")[:2], (best.format or "")[:2]}]
    if swapped and (month_first or "%p" in (best.format or "")):
        best = next(f for f in (best, *swapped) if (f.format or "").startswith("%m"))
    more, covered = _beside(text, best)
    return Form(best.format, best.share, best.times, bool(swapped), best.first, best.last, False, more, covered)


def _beside(text: pl.Series, best: Form) -> tuple[tuple[str | None, ...], float]:
    """Forms that read what the best one does not, each a fair share of all values; and what all of them read."""
    more: list[str | None] = []
    left = text.filter(_read(text, best.format).is_null())
    while left.len() >= _SOME * text.len() > 0 and len(more) < _MOST:
        tried = [
            (days.is_not_null().sum(), (written or "")[:2] == (best.format or "")[:2], written)
            for written, days, times in _readings(left.head(_LOOKED_AT))
            if times == best.times and written != "%Y%m%d" and _plausible(days)
        ]
        written = max(tried, key=lambda t: t[:2], default=(0, False, None))[2]
        still = left.filter(_read(left, written).is_null())
        if not tried or left.len() - still.len() < _SOME * text.len():
            break
        more.append(written)
        left = still
    return tuple(more), 1 - left.len() / text.len()


def _plausible(days: pl.Series) -> bool:
    years = days.drop_nulls().dt.year()
    return bool(years.len()) and int(years.median() or 0) in range(1850, 2151)  # type: ignore[arg-type]


def _read(text: pl.Series, written: str | None) -> pl.Series:
    """The days that one form reads."""
    return next(days for w, days, _ in _readings(text, written) if w == written)


def _first_year(found: Form) -> int:
    """Numbers without separators are dates by accident more easily than what people part into day and year."""
    return 1850 if found.format == "%Y%m%d" else 1400


def _form(written: str | None, days: pl.Series, *, times: bool, native: bool = False) -> Form:
    years = days.drop_nulls().dt.year()
    share = float(days.is_not_null().mean() or 0.0)  # type: ignore[arg-type]
    low, high = (years.quantile(0.02) or 0, years.quantile(0.98) or 0) if years.len() else (0, 0)
    return Form(written, share, times, False, int(low), int(high), native, covered=share)


def _readings(text: pl.Series, only: str | None = "") -> list[tuple[str | None, pl.Series, bool]]:
    """(format, days read, with a time) for each form, or for one only; ISO times count as one form, None."""
    tries: list[tuple[str | None, pl.Series, bool]] = []
    if only in ("", None):
        utc = text.str.replace(r"[Zz]$", "+00:00")
        read = pl.Series([None], dtype=pl.Date).new_from_index(0, text.len())
        for iso in _ISO_TIMES:
            moment = utc.str.to_datetime(iso, strict=False, time_zone="UTC", time_unit="us").dt.date()
            read = read.zip_with(read.is_not_null(), moment)
        for iso in _ISO_NAIVE:
            read = read.zip_with(
                read.is_not_null(), text.str.to_datetime(iso, strict=False, time_unit="us").dt.date()
            )
        tries.append((None, read, True))
    for day in _DAYS:
        if only in ("", day) and (day != "%Y%m%d" or text.str.contains(r"^\d{8}$").any()):
            tries.append((day, text.str.to_date(day, strict=False), False))
        for clock in _CLOCKS:
            whole = f"{day} {clock}"
            if only in ("", whole) and day != "%Y-%m-%d":
                tries.append((whole, text.str.to_datetime(whole, strict=False, time_unit="us").dt.date(), True))
    return tries
