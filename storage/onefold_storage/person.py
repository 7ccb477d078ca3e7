"""Who is to be erased: the record keys and identifiers of one customer, as far as they are nobody else's.

An identifier that a record of another customer carries too (a household's phone) is shared: it tells nobody apart,
so it is neither put on the suppression list nor looked for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import polars as pl

from onefold_storage import contracts
from onefold_storage.contracts import Contract
from onefold_storage.errors import BadContract, NotFound
from onefold_storage.identifiers import identifiers, normal_form
from onefold_storage.installation import Installation
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.schema import CONTACT_RECORDS, DECLARATIONS, LINKS
from onefold_storage.sieve import RECORD, marks
from onefold_storage.suppression import Suppressed
from onefold_storage.survivors import survivor
from onefold_storage.workspace import Workspace

Identifier = tuple[str, str]
"""Scheme (`email`, `phone`, `record` or an external ID's) and value in its normal form."""


@dataclass(frozen=True)
class Person:
    """One customer. `golden_ids`: the ID that answers and those merged into it. `shared`: identifiers left out."""

    golden_id: str
    golden_ids: frozenset[str]
    record_keys: frozenset[str]
    identifiers: frozenset[Identifier]
    shared: int

    def suppressed(self, keyed: KeyedHash) -> list[Suppressed]:
        """What goes onto the suppression list."""
        plain = {"email", "phone", RECORD}
        listed = sorted(self.identifiers)
        return [
            Suppressed(keyed.of(s, v), s if s in plain else "external_id", None if s in plain else s, m)
            for (s, v), m in zip(listed, marks(keyed, listed), strict=True)
        ]


def find_person(installation: Installation, golden_id: str) -> Person:
    """Collect a customer's record keys and identifiers, from silver and from the bronze rows behind it.

    Raises:
        NotFound: no such customer was ever known.
    """
    lake = installation.lake
    standing, merged = survivor(lake, golden_id)
    links = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select("record_key", "golden_id").collect()
    keys = set(links.filter(pl.col("golden_id") == standing)["record_key"])
    elsewhere = links.filter(pl.col("golden_id") != standing).select("record_key").lazy()
    records = lake.scan(CONTACT_RECORDS.name)
    own = records.filter(pl.col("record_key").is_in(list(keys)))
    given = _pairs(identifiers_of(own)) | _bronze_identifiers(installation, own.collect())
    wanted = pl.LazyFrame(sorted(given), schema={"scheme": pl.String, "value": pl.String}, orient="row")
    others = identifiers_of(records.join(elsewhere, on="record_key", how="semi"))
    shared = _pairs(others.join(wanted, on=["scheme", "value"], how="semi"))
    single = wanted.join(others, on=["scheme", "value"], how="anti")
    loose = identifiers_of(records.join(links.lazy(), on="record_key", how="anti"))  # landed, not yet resolved
    keys |= set(loose.join(single, on=["scheme", "value"], how="semi").collect()["record_key"])
    named = (given - shared) | {(RECORD, k) for k in keys}
    family = frozenset({golden_id, standing, *merged})
    return Person(standing, family, frozenset(keys), frozenset(named), len(shared))


def identifiers_of(records: pl.LazyFrame) -> pl.LazyFrame:
    """record_key, scheme and value (in its normal form) of contact records' emails, phones and external IDs."""
    points = [
        records.select("record_key", scheme=pl.lit(kind), value=pl.col(kind)).with_columns(value=normal_form(kind))
        for kind in ("email", "phone")
    ]
    ids = records.select("record_key", "external_ids").explode("external_ids").unnest("external_ids")
    normal = (
        pl.when(pl.col("scheme") == "email")
        .then(normal_form("email"))
        .when(pl.col("scheme") == "phone")
        .then(normal_form("phone"))
        .otherwise(normal_form("external_id"))
    )
    return pl.concat([*points, ids.with_columns(value=normal)]).filter(pl.col("value") != "")


def _pairs(found: pl.LazyFrame) -> set[Identifier]:
    return {(scheme, value) for scheme, value in found.select("scheme", "value").unique().collect().rows()}


def known_contracts(installation: Installation) -> dict[str, Contract]:
    """Every contract that was ever registered, in its last version, by source."""
    found: dict[str, Contract] = {}
    rows = installation.lake.scan(DECLARATIONS.name).filter(kind="contract").sort("version").collect()
    for name, text in rows.filter(pl.col("content").is_not_null()).select("name", "content").rows():
        try:
            contract = contracts.parse(text, name)
        except BadContract:  # of an older release
            continue
        found[contract.id] = contract
    with suppress(NotFound):
        found |= {c.id: c for c in Workspace.open(installation.settings.workspace_folder).sound_contracts()[0]}
    return found


def _bronze_identifiers(installation: Installation, own: pl.DataFrame) -> set[Identifier]:
    """As the sources wrote them: what a second sending will be compared with."""
    found: set[Identifier] = set()
    known = known_contracts(installation)
    for (source,), records in own.group_by("source"):
        contract = known.get(str(source))
        if contract is None or not installation.lake.exists(contract.bronze):
            continue
        places = records.select(_package_id="package_id", _row_id="row_id").lazy()
        scan = installation.lake.scan(contract.bronze)
        rows = scan.join(places, on=["_package_id", "_row_id"], how="semi").collect()
        for scheme, values in identifiers(contract, rows):
            if scheme != RECORD:
                found |= {(scheme, v) for v in values.drop_nulls()}
    return found
