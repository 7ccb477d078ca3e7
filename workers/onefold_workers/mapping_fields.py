"""The fields of one map: a column or a constant, taken through its steps and brought to the canonical type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.contract_rules import ColumnRules, FieldRule, MapRules
from onefold_storage.contracts import Contract
from onefold_storage.derived import replaced, taken, written
from onefold_storage.schema import Table
from onefold_workers import cleaning
from onefold_workers.mapping_values import (
    calendar_day,
    json,
    label,
    moment,
    money,
    number,
    record_key,
    row_key,
)

_CLEANED: dict[tuple[str, str], Callable[[pl.Expr], pl.Expr]] = {
    ("silver/accounts", "name"): cleaning.organisation,
    ("silver/accounts", "city"): cleaning.city,
    ("silver/accounts", "country"): cleaning.country,
}
_LABELS = ("name", "category", "department", "brand", "subject", "industry")
_PERSON = "silver/contact_records"


class Fields:
    """The canonical columns that one map makes of a frame of bronze rows with their `record_key`."""

    def __init__(self, contract: Contract, rules: MapRules, frame: pl.DataFrame) -> None:
        self.contract = contract
        self.rules = rules
        self.frame = frame
        self.person: pl.DataFrame | None = None

    def of(self, table: Table) -> dict[str, pl.Expr]:
        """Expression by canonical column, without the lake's own columns; sets `person` for contact records."""
        types = {c.name: c.type for c in table.columns}
        produced = {n: self.typed(table, n, types[n]) for n in self.rules.fields if n != "effective_at"}
        if table.name == _PERSON:
            self.person = self._person()
            produced = {n: e for n, e in produced.items() if n not in self.person.columns}
        if "contact_key" in types and "contact_key" not in produced:
            produced["contact_key"] = self.contact_key
        if table.name == "silver/relations" and "from_key" not in produced:
            produced["from_key"] = self.contact_key
        if "currency" in types and self.contract.rules.currency:
            given = produced.get("currency", pl.lit(None, dtype=pl.String))
            amount = produced.get("amount", pl.lit(None))
            home = pl.when(amount.is_not_null()).then(pl.lit(self.contract.rules.currency))
            produced["currency"] = pl.coalesce(given, home)
        kept = "payload" if "payload" in types else "attributes"
        if kept in types and kept not in produced:
            produced[kept] = json({c: self.kept(c) for c in self._kept_columns(table)})
        return produced

    def _kept_columns(self, table: Table) -> list[str]:
        columns = list(self.rules.payload)
        if table.name == _PERSON:
            known = self.contract.mapped.values()
            columns += [c.name for c in known if c.rules.attribute and c.name not in columns]
        return columns

    def kept(self, column: str) -> pl.Expr:
        """A column for JSON: as it is, or by its value map."""
        values = self.contract.mapped[column].rules.values
        return written(pl.col(column), self.frame.schema[column], values) if values else pl.col(column)

    def text(self, rule: FieldRule) -> pl.Expr:
        """A field as text: the column's value map, then what the rule takes of it, then its prefix."""
        if rule.column is None:
            constant = rule.constant
            text = pl.lit(str(constant).lower() if isinstance(constant, bool) else _plain(constant))
            text = replaced(text, rule.values) if rule.values else text
        else:
            own = self.contract.mapped[rule.column].rules.values
            text = taken(rule, self.frame.schema[rule.column], own)
        return pl.lit(rule.prefix) + text if rule.prefix else text

    def moment(self, rule: FieldRule) -> pl.Expr:
        """A field as a point in time in UTC, by the rule's format and zone, else the column's, else the source's."""
        value, dtype, own = self._value(rule)
        return moment(value, dtype, self._zone(rule, own), rule.format or own.format)

    def _day(self, rule: FieldRule) -> pl.Expr:
        """A field as the calendar day that a moment was written as; as it is where it is no moment."""
        value, dtype, own = self._value(rule)
        return calendar_day(value, dtype, self._zone(rule, own))

    def _zone(self, rule: FieldRule, own: ColumnRules) -> str:
        return rule.timezone or own.timezone or self.contract.rules.timezone

    def locale(self, rule: FieldRule) -> str | None:
        """A number's locale: the rule's, else the column's, else the source's."""
        if rule.path:  # numbers as JSON writes them, whatever the locale, unless the rule says otherwise
            return rule.locale
        own = self.contract.mapped[rule.column].rules if rule.column else ColumnRules()
        return rule.locale or own.locale or self.contract.rules.locale

    def typed(self, table: Table, name: str, target: pa.DataType) -> pl.Expr:
        """A field in its canonical type; null where its value is not of that type."""
        rule = self.rules.fields[name]
        value, dtype, _ = self._value(rule)
        if pa.types.is_decimal(target) or pa.types.is_floating(target):
            read = money if pa.types.is_decimal(target) else number
            return read(value, dtype, self.locale(rule), rule.unit)
        if pa.types.is_timestamp(target):
            return self.moment(rule)
        if pa.types.is_boolean(target):
            return value if dtype == pl.Boolean else self.text(rule).str.to_lowercase().is_in(_TRUE)
        text = self.text(rule)
        cleaned = _CLEANED.get((table.name, name))
        if cleaned:
            return cleaned(text)
        if name == "currency":
            return text.str.to_uppercase()
        if name == "domain":
            return text.str.to_lowercase().str.replace(r"^(?:https?://)?(?:www\.)?", "").str.replace(r"/.*$", "")
        return label(text) if name in _LABELS else text

    def _value(self, rule: FieldRule) -> tuple[pl.Expr, pl.DataType, ColumnRules]:
        """A field before it is typed: the column itself where no step makes text of it."""
        own = self.contract.mapped[rule.column].rules if rule.column else ColumnRules()
        stepped = rule.taken_apart or rule.values or rule.prefix or own.values
        if rule.column is None or stepped:
            return self.text(rule), pl.String(), own
        return pl.col(rule.column), self.frame.schema[rule.column], own

    @cached_property
    def contact_key(self) -> pl.Expr:
        """Record key of the contact record a row belongs to: by the map's `contact`, else this source's own."""
        contact, schema = self.rules.contact, self.frame.schema
        if contact:
            return record_key(contact.source or self.contract.id, contact.key, schema)
        people = [m for m in self.contract.maps if m.table == "contact_records"]
        if not people:
            return pl.lit(None, dtype=pl.String)
        key = people[0].key or self.contract.primary_key
        return record_key(self.contract.id, key, schema) if key else row_key(self.contract.id)

    def _person(self) -> pl.DataFrame:
        """A person's attributes and external IDs: columns with a kind, and the map's fields, which win."""
        kinds = dict(self.contract.kinds)
        known = self.contract.mapped.values()
        schemes = {c.name: c.rules.scheme for c in known if c.rules.kind}
        formats = {c.name: c.rules.format for c in known if c.rules.kind}
        columns = {
            c: self._day(FieldRule(column=c)) if k == "birth_date" else self.kept(c) for c, k in kinds.items()
        }
        for name, rule in self.rules.fields.items():
            if name != "external_ids" and name not in cleaning.PERSON_KINDS:
                continue
            kind = "external_id" if name == "external_ids" else name
            if kind != "external_id":
                kinds = {c: k for c, k in kinds.items() if k != kind}
            column = f"{name}\0"
            columns[column] = self._day(rule) if kind == "birth_date" else self.text(rule)
            kinds[column] = kind
            own = self.contract.mapped[rule.column].rules if rule.column else ColumnRules()
            schemes[column] = own.scheme or rule.column or self.contract.id
            formats[column] = rule.format or own.format
        source = self.frame.select("_row_id", *(columns[c].alias(c) for c in kinds))
        latest = cast("datetime | None", self.frame.get_column("_landed_at").max())
        return cleaning.standardise(
            source, kinds, self.contract.rules.country, formats, schemes, latest.date() if latest else None
        )


_TRUE = ("true", "t", "yes", "y", "1")


def _plain(constant: str | float | None) -> str:
    return str(int(constant)) if isinstance(constant, float) and constant.is_integer() else str(constant)
