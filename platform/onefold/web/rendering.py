"""How pages are made: templates with everything escaped, and how figures and times are written."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_NOTHING = "–"


def whole(value: float | None) -> str:
    """A count with thousands apart."""
    return _NOTHING if value is None else f"{int(value):,}".replace(",", "\u202f")


def figure(value: Any) -> str:
    """A score or a metric: three decimals below ten, else two or none."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NOTHING if value is None else str(value)
    if isinstance(value, int) or (abs(value) >= 10 and float(value).is_integer()):
        return whole(value)
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:,.2f}".replace(",", "\u202f")


def trait(value: Any) -> str:
    """A computed trait: counts as whole numbers, which they are though they come as floats."""
    return figure(int(value) if isinstance(value, float) and value.is_integer() else value)


def moment(value: str | datetime | None) -> str:
    """A time to the minute, in UTC."""
    if value is None:
        return _NOTHING
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.strftime("%Y-%m-%d %H:%M")


def day(value: str | datetime | None) -> str:
    """A time to the day."""
    return moment(value)[:10]


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits people."""
    if seconds is None:
        return _NOTHING
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def words(value: str | None) -> str:
    """A name of code as words: `no_contact_point` is `no contact point`."""
    return _NOTHING if value is None else value.replace("_", " ")


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "trait": trait,
    "whole": whole,
    "figure": figure,
    "moment": moment,
    "day": day,
    "duration": duration,
    "words": words,
}


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page out of a template."""
    text = _environment.get_template(template).render(**values)
    return HTMLResponse(text, status_code=status)
