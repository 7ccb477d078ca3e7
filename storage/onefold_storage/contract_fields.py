"""What a contract may say about one canonical field: where its value comes from, and the steps it takes.

The steps are always taken in this order: `path`, `split`, `values`, then the number (`locale`, `unit`) or the time
(`format`, `timezone`), and `prefix` last. `derived.py` carries out those that make text.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from onefold_storage.json_paths import spelt
from onefold_storage.locales import decimal_mark
from onefold_storage.schema import PERSON
from onefold_storage.units import conversion

PERSON_KINDS = tuple(c.name for c in PERSON)
KINDS = (*PERSON_KINDS, "external_id")
"""Semantic kinds a column can have: a person's attributes, or an identifier with a scheme."""


class Rules(BaseModel):
    """Base: frozen, and no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def zone_name(value: str) -> str:
    """A time zone's name, as it is.

    Raises:
        ValueError: unknown.
    """
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"time zone {value!r} is unknown; expected a name such as Europe/Berlin") from error
    return value


def locale_name(value: str | None) -> str | None:
    """A locale, as it is; raises ValueError where it is unknown."""
    if value is not None:
        decimal_mark(value)
    return value


Format = str | tuple[str, ...]
"""How dates and times are written, in strftime's terms; of several the first that reads a value."""


def each_format(form: Format | None) -> tuple[str, ...]:
    """The formats that a contract names, in order; none where it names none."""
    return (form,) if isinstance(form, str) else form or ()


def format_said(form: Format | None) -> str:
    """For messages: ` as %Y`, ` as %Y or %y`; empty where there is none."""
    return f" as {' or '.join(each_format(form))}" if form else ""


def kind_fits(kind: str | None, scheme: str | None) -> None:
    """Raises ValueError where a semantic kind is unknown, or a scheme stands without its kind."""
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    if (kind == "external_id") != (scheme is not None):
        raise ValueError("`scheme` goes with `kind: external_id`, and only with it")


class SplitRule(Rules):
    """Parts of a text: the one numbered `part` (1 is the first, -1 the last), or those from it through `to`."""

    by: str = Field(min_length=1)
    part: int
    to: int | None = None

    @field_validator("part", "to")
    @classmethod
    def _counted(cls, value: int | None) -> int | None:
        if value == 0:
            raise ValueError("parts are counted from 1, or from -1 at the end")
        return value


class UnitRule(Rules):
    """A measure brought from one unit into another of the same quantity."""

    of: str = Field(alias="from")
    into: str = Field(alias="to")

    @model_validator(mode="after")
    def _convertible(self) -> UnitRule:
        conversion(self.of, self.into)
        return self


class FieldRule(Rules):
    """Where one canonical field comes from: a column, or a constant; then its steps.

    `path`: a value inside a column that holds JSON (`address.city`, `items[0].price`, `['odd name']`).
    `values`: a map from what the source writes to what is meant; what it does not name stays.
    `locale`, `timezone`, `format`: as the source's or the column's, for this field alone. `format` may be a list.
    `prefix` makes the record key of another source's record: `products:` + the column's value.
    """

    column: str | None = None
    constant: str | float | bool | None = None
    path: str | None = None
    split: SplitRule | None = None
    values: dict[str, str | None] | None = None
    unit: UnitRule | None = None
    locale: str | None = None
    format: Format | None = None
    timezone: str | None = None
    prefix: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> FieldRule:
        if (self.column is None) == (self.constant is None):
            raise ValueError("name either `column` or `constant`")
        if self.column is None and (self.path or self.split):
            raise ValueError("`path` and `split` take a column apart; a constant has none")
        if self.path is not None:
            spelt(self.path)
        locale_name(self.locale)
        if self.timezone is not None:
            zone_name(self.timezone)
        return self

    @property
    def taken_apart(self) -> bool:
        """Whether the value is another than the column's."""
        return bool(self.path or self.split)


class DerivedRule(FieldRule):
    """A column that the source does not send but that its maps use by name: a key inside JSON, a part of a name."""

    kind: str | None = None
    scheme: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    attribute: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> DerivedRule:
        kind_fits(self.kind, self.scheme)
        if self.column is None:
            raise ValueError("a derived column comes from a `column`")
        if self.unit or self.prefix:
            raise ValueError("a derived column is text; `unit` and `prefix` belong to the field that is made of it")
        return self


def shorthand(value: Any) -> Any:
    """A mapping of fields in which a bare text names a column."""
    if not isinstance(value, dict):
        return value
    return {k: {"column": v} if isinstance(v, str) else v for k, v in value.items()}
