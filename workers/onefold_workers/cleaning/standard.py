"""A source's columns, by their semantic kind, to the canonical columns of a person.

Several columns of one kind are combined so that nothing is lost: a second street line becomes `address_line2`;
a second given name `middle_name`; further emails and phones external IDs of the schemes `email` and `phone`.
Of several whole names the longest stands, for the rest the first one that has a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import Format
from onefold_storage.derived import as_text
from onefold_storage.errors import BadInput
from onefold_storage.schema import PERSON
from onefold_workers.cleaning import contact_points, dates, places, text, words

PERSON_KINDS = tuple(c.name for c in PERSON)
EXTERNAL_ID_TYPE = pl.List(pl.Struct({"scheme": pl.String, "value": pl.String}))
PERSON_TYPES: dict[str, pl.DataType] = {
    c.name: pl.Date() if pa.types.is_date32(c.type) else pl.String() for c in PERSON
}
_CONTACT_POINTS = ("email", "phone")
_FAMILY_FIRST = "HU"
_ROW = "\0row"
_PLAIN: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "given_name": text.name,
    "middle_name": text.name,
    "family_name": text.name,
    "full_name": text.full_name,
    "email": contact_points.email,
    "house_number": places.house_number,
    "street": places.street,
    "address_line2": places.street,
    "city": places.city,
    "country": places.country,
    "organisation": text.organisation,
}
_BY_COUNTRY: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "phone": contact_points.phone,
    "postcode": places.postcode,
    "region": places.region,
}


def gender(expr: pl.Expr) -> pl.Expr:
    """f, m or x, out of words in many languages or ISO/IEC 5218 codes; null where it is none of them."""
    return text.expression(_gender, expr)


def _gender(values: pl.Series) -> pl.Series:
    meant = {word: code for code, synonyms in words.GENDERS.items() for word in synonyms}
    folded = text.squeeze(values).str.to_lowercase().str.replace(r"^(\d)\.0$", "${1}")
    return folded.replace_strict(meant, default=None, return_dtype=pl.String)


def external_id(expr: pl.Expr) -> pl.Expr:
    """An identifier as text without placeholders and without rows of zeros; otherwise as the source writes it."""
    return text.expression(_external_id, expr)


def _external_id(values: pl.Series) -> pl.Series:
    found = text.tidy_up(values)
    return text.only(found, ~found.str.contains(r"^[0\W_]+$"))


def standardise(
    frame: pl.DataFrame,
    kinds: Mapping[str, str],
    country: str | None = None,
    formats: Mapping[str, Format | None] | None = None,
    schemes: Mapping[str, str | None] | None = None,
    latest: date | None = None,
) -> pl.DataFrame:
    """Canonical columns of a person, one row per row of `frame`: the schema's PERSON columns and `external_ids`.

    `kinds`: semantic kind by column of `frame`. `country`: ISO alpha-2 of phones and postcodes that do not say it
    (a column of kind `country` says it better). `formats`: strftime format of birth dates by column; three of kind
    birth_date with `%Y`, `%m` and `%d` are one date. `schemes`:
    scheme by column of kind `external_id` (its name by default). `latest`: no birth date may be later.
    Raises BadInput for an unknown kind or column.
    """
    _check(frame, kinds)
    frame, kinds, formats = dates.whole_births(frame, kinds, formats or {})
    # The row's number keeps every step as high as the table, even where it has no column to clean.
    row = pl.int_range(pl.len()).alias(_ROW)
    source = frame.select(row, *(as_text(pl.col(c), frame.schema[c]).alias(c) for c in kinds))
    by_kind: dict[str, list[str]] = {}
    for column, kind in kinds.items():
        by_kind.setdefault(kind, []).append(column)
    cleaned = source.select(
        _ROW,
        *(_PLAIN[k](pl.col(c)).alias(c) for k, cs in by_kind.items() if k in _PLAIN for c in cs),
        *(gender(pl.col(c)).alias(c) for c in by_kind.get("gender", [])),
        *(external_id(pl.col(c)).alias(c) for c in by_kind.get("external_id", [])),
        *(
            dates.birth_date(pl.col(c), formats.get(c), country, latest).alias(c)
            for c in by_kind.get("birth_date", [])
        ),
    )
    where = pl.coalesce(*(pl.col(f"\0{c}") for c in by_kind.get("country", [])), pl.lit(country, dtype=pl.String))
    with_country = source.with_columns(cleaned.get_column(c).alias(f"\0{c}") for c in by_kind.get("country", []))
    regional = with_country.select(
        _BY_COUNTRY[k](pl.col(c), where).alias(c) for k, cs in by_kind.items() if k in _BY_COUNTRY for c in cs
    )
    # Hungarians write the family name first, but for a comma.
    commas = [pl.col(c).str.contains(",", literal=True) for c in by_kind.get("full_name", [])]
    turned = (where == _FAMILY_FIRST) & ~pl.any_horizontal(*commas, pl.lit(False))
    return _combined(
        cleaned.hstack(regional.get_columns()),
        by_kind,
        schemes or {},
        with_country.select(turned.fill_null(False)).to_series(),
    )


def _check(frame: pl.DataFrame, kinds: Mapping[str, str]) -> None:
    for column, kind in kinds.items():
        if column not in frame.columns:
            raise BadInput(f"column {column!r} is not in the table; it has {', '.join(frame.columns)}")
        if kind not in PERSON_TYPES and kind != "external_id":
            raise BadInput(
                f"column {column!r}: kind {kind!r} is unknown; known are {', '.join(PERSON_TYPES)}, external_id"
            )


def _first(columns: list[str]) -> pl.Expr:
    return pl.coalesce(columns)


def _longest(columns: list[str]) -> pl.Expr:
    """Of several values the longest, the first of equally long ones."""
    best = pl.col(columns[0])
    for column in columns[1:]:
        longer = pl.col(column).str.len_chars() > best.str.len_chars().fill_null(0)
        best = pl.when(longer).then(pl.col(column)).otherwise(best)
    return best


def _joined(columns: list[str], separator: str) -> pl.Expr:
    together = pl.concat_str(columns, separator=separator, ignore_nulls=True)
    return pl.when(together != "").then(together)


def _combined(
    cleaned: pl.DataFrame, by_kind: dict[str, list[str]], schemes: Mapping[str, str | None], turned: pl.Series
) -> pl.DataFrame:
    """The fields of a person. `turned`: whether a row's whole name begins with the family's."""
    fields = {kind: _first(columns) for kind, columns in by_kind.items() if kind != "external_id"}
    if len(by_kind.get("street", [])) > 1 or len(by_kind.get("address_line2", [])) > 1:
        streets = by_kind.get("street", [])
        if streets:
            fields["street"] = pl.col(streets[0])
        fields["address_line2"] = _joined([*streets[1:], *by_kind.get("address_line2", [])], ", ")
    if len(by_kind.get("given_name", [])) > 1:
        first, *further = by_kind["given_name"]
        fields["given_name"] = pl.col(first)
        fields["middle_name"] = _joined([*further, *by_kind.get("middle_name", [])], " ")
    if len(by_kind.get("full_name", [])) > 1:
        fields["full_name"] = _longest(by_kind["full_name"])
    if len(by_kind.get("family_name", [])) > 1:
        fields["family_name"] = _joined(by_kind["family_name"], " ")
    identifiers = _external_ids(cleaned, by_kind, schemes)
    person = cleaned.select(_ROW, identifiers, *(expr.alias(kind) for kind, expr in fields.items()))
    if "full_name" in fields and not {"given_name", "family_name"} & set(fields):
        given, family = text.given_and_family(pl.col("full_name"), pl.lit(turned))
        person = person.with_columns(given_name=given, family_name=family)
    if "street" in fields:
        rest, number = places.split_street(pl.col("street"))
        given_number = pl.col("house_number") if "house_number" in fields else pl.lit(None, dtype=pl.String)
        split = given_number.is_null() & number.is_not_null()
        person = person.with_columns(
            street=pl.when(split).then(rest).otherwise(pl.col("street")),
            house_number=pl.coalesce(given_number, number),
        )
    have = set(person.columns)
    nulls = [pl.lit(None, dtype=t).alias(n) for n, t in PERSON_TYPES.items() if n not in have]
    return person.with_columns(nulls).select(*PERSON_TYPES, "external_ids")


def _external_ids(
    cleaned: pl.DataFrame, by_kind: dict[str, list[str]], schemes: Mapping[str, str | None]
) -> pl.Series:
    """Identifiers of each row: columns of kind external_id, emails and phones beyond the first; null if none."""
    pairs = [(schemes.get(c) or c, pl.col(c)) for c in by_kind.get("external_id", [])]
    for kind in _CONTACT_POINTS:
        columns = by_kind.get(kind, [])
        for column in columns[1:]:
            different = pl.col(column) != _first(columns)
            pairs.append((kind, pl.when(different).then(pl.col(column))))
    if not pairs:
        return pl.Series("external_ids", [None], dtype=EXTERNAL_ID_TYPE).new_from_index(0, cleaned.height)
    each = [
        cleaned.select(_ROW, pl.lit(order).alias("order"), pl.lit(scheme).alias("scheme"), value.alias("value"))
        for order, (scheme, value) in enumerate(pairs)
    ]
    flat = pl.concat(each).drop_nulls("value")
    if len(pairs) > 1:
        flat = flat.unique([_ROW, "scheme", "value"], keep="first", maintain_order=True).sort(_ROW, "order")
    # A list column put together from its parts, much faster than row by row: the identifiers one after the other,
    # and where each row's begin.
    counted = cleaned.select(_ROW).join(flat.group_by(_ROW).len(), on=_ROW, how="left", maintain_order="left")
    counts = counted.get_column("len").cast(pl.Int64)
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64), counts.fill_null(0).cum_sum()])
    structs = flat.select("scheme", "value").to_struct().to_arrow(compat_level=pl.CompatLevel.oldest())
    lists = pa.LargeListArray.from_arrays(offsets.to_arrow(), structs, mask=counts.is_null().to_arrow())
    return pl.Series("external_ids", lists, dtype=EXTERNAL_ID_TYPE)
