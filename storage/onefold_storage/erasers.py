"""How a person is taken out of each kind of place. Each eraser takes the locks it needs and returns how much went.

Nothing here deletes by a predicate that names a person: tables are rewritten (`rewriting.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import polars as pl

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow
from onefold_storage.errors import NotFound
from onefold_storage.identifiers import identifiers, normal_form
from onefold_storage.installation import Installation
from onefold_storage.person import Person, known_contracts
from onefold_storage.publications import ROOT as PUBLICATIONS
from onefold_storage.rewriting import Gone, rewrite
from onefold_storage.schema import FAILED_EVENTS, SILVER
from onefold_storage.suppressor import Suppressor

Eraser = Callable[[Installation, str, Person], int]
"""Takes a person out of the place of this name (a table, a folder of objects, a ledger table, a folder of home)."""

_KEYS = ("record_key", "contact_key", "from_key", "to_key", "left_key", "right_key")


def records(installation: Installation, name: str, person: Person) -> int:
    """Rows of a silver or identity table that carry a record key of the person's, or a consent of an identifier."""
    return _rewrite(installation, name, by_records(person), [*_KEYS, "subject_kind", "subject"])


def customers(installation: Installation, name: str, person: Person) -> int:
    """Rows of a gold table that carry one of the person's golden IDs."""
    ids = sorted(person.golden_ids)
    return _rewrite(installation, name, lambda rows: rows["golden_id"].is_in(ids), ["golden_id"])


def bronze(installation: Installation, name: str, person: Person) -> int:
    """Bronze rows that silver says are the person's, and those that carry an identifier of theirs.

    Waits for the package that is landing, which may have been checked before the person was suppressed.
    """
    source = name.split("/", 1)[1]
    contract = known_contracts(installation).get(source)
    with installation.lake.lock(f"land:{source}"):
        gone = by_places(installation, source, contract, person)
        columns = ["_package_id", "_row_id", *(contract.by_name if contract else ())]
        return _rewrite(installation, name, gone, columns)


def by_places(installation: Installation, source: str, contract: Contract | None, person: Person) -> Gone:
    """Which of a source's bronze rows are the person's. Hold the source's landing lock."""
    places, wanted = _places(installation, source, person), person.identifiers

    def gone(rows: pl.DataFrame) -> pl.Series:
        at = rows.select(pl.struct("_package_id", "_row_id")).to_series()
        found = at.is_in(places.to_struct().implode()) if places.height else at.is_null()
        for scheme, values in identifiers(contract, rows) if contract else ():
            found = found | values.is_in([v for s, v in wanted if s == scheme]).fill_null(value=False)
        return found

    return gone


def failed_events(installation: Installation, name: str, person: Person) -> int:
    """Failed events whose bytes hold an identifier that is on the suppression list, where the person's now are.

    Waits for what is landing, which may have looked at the list before the person was on it.
    """
    contracts = known_contracts(installation)
    landed = {n.split("/", 1)[1] for n in installation.lake.names() if n.startswith("bronze/")}
    for source in sorted({*contracts, *landed}):
        with installation.lake.lock(f"land:{source}"):
            pass
    assert name == FAILED_EVENTS.name
    gone = by_suppression(installation, contracts)
    return _rewrite(installation, name, gone, ["source", "row_id", "rule", "raw"]) if person.identifiers else 0


def by_suppression(installation: Installation, contracts: dict[str, Contract]) -> Gone:
    """Which failed events hold an identifier that is on the suppression list."""
    suppressor = Suppressor(installation.ledger.suppression, installation.keyed_hash)

    def gone(rows: pl.DataFrame) -> pl.Series:
        found = pl.Series([False] * rows.height, dtype=pl.Boolean)
        for (source,), part in rows.with_row_index("_at").group_by("source"):
            bad = [BadRow(r["row_id"], r["rule"], "", r["raw"] or b"") for r in part.to_dicts()]
            listed = suppressor.suppressed_bad(contracts.get(str(source)), bad)
            found = found.scatter(part["_at"].filter(pl.Series(listed, dtype=pl.Boolean)), True)
        return found

    return gone


def derived_objects(installation: Installation, name: str, person: Person) -> int:  # noqa: ARG001 - all of it goes
    """Objects that are made again from the tables when they are next needed."""
    keys = installation.lake.objects.keys(name)
    installation.lake.objects.delete_below(name)
    return len(keys)


def publications(installation: Installation, name: str, person: Person) -> int:  # noqa: ARG001 - all of them go
    """Every serving snapshot; the next publish makes a new one without the person."""
    objects = installation.lake.objects
    with installation.lake.lock(PUBLICATIONS):
        keys = objects.keys(PUBLICATIONS)
        objects.delete(f"{PUBLICATIONS}/current.json")
        for version in objects.folders(PUBLICATIONS):
            objects.delete(f"{PUBLICATIONS}/{version}/manifest.json")
            try:
                installation.ledger.publications.mark(version, "pruned")
            except NotFound:
                continue
        objects.delete_below(PUBLICATIONS)
    return len(keys)


def wishes(installation: Installation, name: str, person: Person) -> int:  # noqa: ARG001 - the ledger has one
    """What people wrote as evidence of the person's wishes; the wishes stay in force, by their keyed hashes."""
    return installation.ledger.wishes.forget_evidence(person.golden_ids)


def home_folder(installation: Installation, name: str, person: Person) -> int:  # noqa: ARG001 - all of it goes
    """A folder of copies in the installation's home."""
    folder = installation.settings.root / name
    files = sum(p.is_file() for p in folder.rglob("*")) if folder.is_dir() else 0
    shutil.rmtree(folder, ignore_errors=True)
    return files


def _rewrite(installation: Installation, name: str, gone: Gone, columns: list[str]) -> int:
    with installation.lake.lock(name):
        return rewrite(installation.lake, name, gone, columns) if installation.lake.exists(name) else 0


def by_records(person: Person) -> Gone:
    """Which rows carry a record key of the person's, or a consent of an identifier of theirs."""
    keys = sorted(person.record_keys)
    values = {s: [v for x, v in person.identifiers if x == s] for s, _ in person.identifiers}

    def gone(rows: pl.DataFrame) -> pl.Series:
        found = pl.Series([False] * rows.height, dtype=pl.Boolean)
        for column in _KEYS:
            if column in rows.columns:
                found = found | rows[column].is_in(keys).fill_null(value=False)
        if "record_key" in rows.columns:  # a consent's is that of its record, `#` and what it is about
            found = found | rows["record_key"].str.replace("#[^#]*$", "").is_in(keys).fill_null(value=False)
        if {"subject_kind", "subject"} <= set(rows.columns):
            for scheme, own in values.items():
                kind = scheme if scheme in ("email", "phone") else "external_id"
                normal = rows.select(pl.col("subject").alias("value")).select(normal_form(kind)).to_series()
                found = found | ((rows["subject_kind"] == scheme) & normal.is_in(own)).fill_null(value=False)
        return found

    return gone


def _places(installation: Installation, source: str, person: Person) -> pl.DataFrame:
    """Package and row of everything in silver that came from the source and is the person's."""
    gone, lake = by_records(person), installation.lake
    found = [pl.DataFrame(schema={"_package_id": pl.String, "_row_id": pl.Int64})]
    for table in SILVER:
        if lake.exists(table.name):
            columns = [
                c for c in (*_KEYS, "subject_kind", "subject", "package_id", "row_id") if c in table.arrow.names
            ]
            rows = lake.scan(table.name).filter(pl.col("source") == source).select(columns).collect()
            found.append(rows.filter(gone(rows)).select(_package_id="package_id", _row_id="row_id"))
    return pl.concat(found).unique()
