"""Who is who in any files, without a lake: what `onefold link` does, and how one compares with other tools."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from onefold_storage import contracts
from onefold_storage.contract_fields import Format
from onefold_storage.contracts import Contract
from onefold_storage.derived import with_derived
from onefold_storage.errors import BadInput, NotFound

if TYPE_CHECKING:
    from onefold_workers.identity import Quality

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY, _TRUTH, _ROW = "record_key", "truth", "row"
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class LinkResult:
    """Records read, clusters found, seconds from files to output; pairwise quality where a truth is known."""

    records: int
    clusters: int
    precision: float | None
    recall: float | None
    f1: float | None
    seconds: float


def link(files: list[Path], contract: Path, out: Path, truth: str | None = None) -> LinkResult:
    """Resolve the records of files of one shape and write a row per record: its key columns and `golden_id`.

    `files`: CSV, Parquet or what else its options read. `contract`: says what the columns mean. `out`: Parquet file to
    write; a contract without a primary key gives the column `row`, the record's place from 0. `truth`: a column
    that says who is who; it measures the result and is never evidence, even if the contract gives it a meaning.

    Raises:
        NotFound: a file does not exist. BadInput: a file cannot be read, is empty or lacks a column.
        BadContract: the contract is not valid.
    """
    from onefold_workers.identity import assign_golden_ids, pairwise_quality, resolve

    started = time.monotonic()
    meaning = contracts.read(contract)
    frame = _read_all(files, meaning, truth)
    key = [k for k in meaning.primary_key if k != truth]
    records = _records(frame, meaning, truth, key)
    found = resolve(records)
    links, _ = assign_golden_ids(found.clusters, pl.DataFrame(), _EPOCH)
    named = records.select(_KEY).join(links.select(_KEY, "golden_id"), on=_KEY, how="left", maintain_order="left")
    rows = frame.select(key) if key else frame.select(pl.int_range(pl.len()).alias(_ROW))
    _write(rows.with_columns(named["golden_id"]), out)
    quality: Quality | None = None
    if truth is not None:
        known = pl.DataFrame({_KEY: records[_KEY], _TRUTH: frame[truth].cast(pl.String)})
        quality = pairwise_quality(found.clusters, known)
    return LinkResult(
        frame.height,
        named["golden_id"].n_unique(),
        quality.precision if quality else None,
        quality.recall if quality else None,
        quality.f1 if quality else None,
        round(time.monotonic() - started, 3),
    )


def _read_all(files: list[Path], contract: Contract, truth: str | None) -> pl.DataFrame:
    if not files:
        raise BadInput("link: expected at least one file, found none")
    needed = [c.name for c in contract.columns if c.name != truth] + ([truth] if truth else [])
    frames = [_checked(_read(f, contract), f, contract, needed, truth) for f in files]
    text = [c for c in needed if len({f.schema[c] for f in frames}) > 1]
    return pl.concat([f.select(needed).with_columns(pl.col(text).cast(pl.String)) for f in frames])


def _read(file: Path, contract: Contract) -> pl.DataFrame:
    if not file.exists():
        raise NotFound(f"{file}: no such file")
    if not file.is_file():
        raise BadInput(f"{file}: expected a CSV or Parquet file, found a folder")
    if file.stat().st_size == 0:
        raise BadInput(f"{file}: the file is empty; expected a header and rows")
    if contract.rules.connector == "files" and contract.rules.options:
        return _as_landed(file, contract)
    try:
        if file.suffix.lower() in _PARQUET:
            return pl.read_parquet(file)
        separator = "\t" if file.suffix.lower() in (".tsv", ".tab") else _separator(file)
        return pl.read_csv(file, infer_schema=False, separator=separator, null_values=[""])
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        if file.suffix.lower() in _PARQUET:
            raise BadInput(f"{file}: cannot be read as CSV or Parquet: {_reason(error)}") from error
        return _as_landed(file, contract)


def _as_landed(file: Path, contract: Contract) -> pl.DataFrame:
    """The file read as landing reads it, by the contract's options; a row that cannot be read is an error."""
    from onefold_workers.connectors import deliveries

    files = contract.rules.connector == "files"
    given = {"location": str(file.resolve()), "options": contract.rules.options if files else {}}
    here = replace(contract, rules=contract.rules.model_copy(update={"connector": "files", **given}))
    tables = []
    for delivery in deliveries(here, file.parent):
        for batch in delivery.batches:
            if batch.bad:
                say = "; name its encoding in the contract's options, such as encoding: cp1252"
                raise BadInput(batch.bad[0].message + (say if batch.bad[0].rule == "encoding" else ""))
            tables.append(pl.DataFrame(batch.rows))
    return pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame()


def _separator(file: Path) -> str:
    with file.open("rb") as stream:
        header = stream.readline(65_536)
    counts = {s: header.count(s.encode()) for s in (",", ";", "\t", "|")}
    return max(counts, key=lambda s: counts[s])


def _reason(error: Exception) -> str:
    """What went wrong without what stands in the file: only the first words, before any value is quoted."""
    return str(error).split("\n", 1)[0].split("`", 1)[0].split('"', 1)[0].strip()[:120] or type(error).__name__


def _checked(
    frame: pl.DataFrame, file: Path, contract: Contract, needed: list[str], truth: str | None
) -> pl.DataFrame:
    frame = frame.rename({c: c.strip() for c in frame.columns if c != c.strip()})
    missing = [c for c in needed if c not in frame.columns]
    if missing:
        whose = "named as truth" if missing == [truth] else f"of contract {contract.id}"
        raise BadInput(
            f"{file}: column {', '.join(missing)} {whose} is missing; the file has {', '.join(frame.columns)}"
        )
    if not frame.height:
        raise BadInput(f"{file}: the file has a header but no rows")
    return frame


def _records(frame: pl.DataFrame, contract: Contract, truth: str | None, key: list[str]) -> pl.DataFrame:
    """Records as identity resolution takes them: cleaned kinds, identifiers and attributes, with a record key."""
    from onefold_workers.cleaning import standardise, whole_births

    frame = with_derived(contract, frame, contract.rules.derived)
    rules = {c.name: c.rules for c in contract.mapped.values() if c.name != truth}
    kinds = {n: r.kind for n, r in rules.items() if r.kind} | _mapped(contract, truth)
    if not kinds:
        raise BadInput(
            f"contract {contract.id}: no column has a kind, so there is nothing to compare; "
            "give columns a kind such as given_name, birth_date or email"
        )
    meant = frame.with_columns(
        pl.col(n).cast(pl.String).replace(r.values) for n, r in rules.items() if r.values and r.kind
    )
    people = standardise(
        meant,
        kinds,
        contract.rules.country,
        formats={n: r.format for n, r in rules.items()},
        schemes={n: r.scheme for n, r in rules.items()},
    )
    further = [
        pl.col(n).cast(pl.String).alias(f"attribute:{n}") for n, r in rules.items() if r.attribute and not r.kind
    ]
    whole, kinds, formats = whole_births(meant, kinds, {n: r.format for n, r in rules.items()})
    births = [n for n, k in kinds.items() if k == "birth_date"]
    extra = whole.select(*further, *([_digits(births, formats, contract.rules.country)] if births else []))
    return people.with_columns(extra.get_columns()).with_columns(_keys(frame, contract, key))


def _mapped(contract: Contract, truth: str | None) -> dict[str, str]:
    """Kinds of columns that the contract's map to contact records names without giving them one."""
    from onefold_workers.cleaning import PERSON_KINDS

    fields = {k: f for m in contract.maps if m.table == "contact_records" for k, f in m.fields.items()}
    return {
        f.column: k
        for k, f in fields.items()
        if k in PERSON_KINDS and f.column and f.column != truth and not f.taken_apart
    }


def _digits(columns: list[str], formats: dict[str, Format | None], country: str | None) -> pl.Expr:
    """What is written of dates of birth: a mistyped month 13, or a year alone, can still be compared."""
    from onefold_workers.cleaning import birth_digits

    return pl.coalesce(birth_digits(pl.col(c), formats.get(c), country) for c in columns).alias("birth_digits")


def _keys(frame: pl.DataFrame, contract: Contract, key: list[str]) -> pl.Series:
    """A record key for every row: from its key columns, numbered where several rows have the same or none."""
    text = (
        pl.concat_str([pl.col(k).cast(pl.String).fill_null("") for k in key], separator="|") if key else pl.lit("")
    )
    base = frame.select(k=pl.lit(f"{contract.id}:") + text, n=pl.int_range(pl.len()))
    again = base.select(pl.int_range(pl.len()).over("k").alias("again"), "k")
    numbered = pl.when(pl.col("again") > 0).then(pl.col("k") + "#" + pl.col("again").cast(pl.String))
    return again.select(numbered.otherwise(pl.col("k")).alias(_KEY))[_KEY]


def _write(rows: pl.DataFrame, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(out)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror or type(error).__name__})") from error
