"""Who is to be erased: the record keys and identifiers of customers, as far as they are nobody else's.

An identifier that a record of another customer carries too (a household's phone), be it as an attribute of theirs, is
shared: it tells nobody apart, so it is neither put on the suppression list nor looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

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
from onefold_storage.terms import Identifier, carried
from onefold_storage.workspace import Workspace


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


def together(people: Sequence[Person]) -> Person:
    """Several customers as one, for what is done to all of them in one pass."""
    none = frozenset[str]()
    return Person(
        people[0].golden_id,
        none.union(*(p.golden_ids for p in people)),
        none.union(*(p.record_keys for p in people)),
        frozenset[Identifier]().union(*(p.identifiers for p in people)),
        sum(p.shared for p in people),
    )


def find_people(
    installation: Installation, golden_ids: Iterable[str], kept: Mapping[str, Person] | None = None
) -> list[Person]:
    """Collect customers' record keys and identifiers, from silver and from the bronze rows behind it.

    One of a customer's IDs is as good as all of them. What several of these customers share is shared with nobody
    else. `kept`: what was known of those whose erasure was cut off, by golden ID; it counts as well.

    Raises:
        NotFound: one of them was never known.
    """
    lake, kept = installation.lake, kept or {}
    families: dict[str, frozenset[str]] = {}
    for golden_id in golden_ids:
        standing, family = _family(installation, golden_id, kept)
        families[standing] = families.get(standing, frozenset()) | family | {golden_id, standing}
    before = [kept[g] for g in families if g in kept]
    links = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select("record_key", "golden_id").collect()
    owned = pl.concat(
        [
            _owned((p.golden_id, k) for p in before for k in sorted(p.record_keys)),
            links.filter(pl.col("golden_id").is_in(list(families))).select("record_key", owner="golden_id"),
        ]
    ).unique("record_key", keep="first", maintain_order=True)
    elsewhere = links.lazy().join(owned.lazy(), on="record_key", how="anti")
    records = lake.scan(CONTACT_RECORDS.name)
    own = records.join(owned.lazy(), on="record_key")
    given = pl.concat(
        [
            identifiers_of(own).join(owned.lazy(), on="record_key").select("owner", "scheme", "value").collect(),
            *_bronze_identifiers(installation, own.collect()),
        ]
    ).unique()
    pair = ["scheme", "value"]
    others = records.join(elsewhere, on="record_key", how="semi")
    same = identifiers_of(others).join(given.lazy(), on=pair, how="semi").select(pair).unique().collect()
    told = carried(others.select("attributes").unique().collect()["attributes"], given.select(pair).rows())
    shared = pl.concat([same, pl.DataFrame(sorted(told), schema=same.schema, orient="row")]).unique()
    single = given.join(shared, on=pair, how="anti")
    loose = identifiers_of(  # landed, not yet resolved
        records.join(links.lazy(), on="record_key", how="anti").join(owned.lazy(), on="record_key", how="anti")
    )
    late = loose.join(single.lazy(), on=pair).select("record_key", "owner").collect()
    keys, values = pl.concat([owned, late]), given.join(shared, on=pair, how="semi")
    found = []
    for standing, family in families.items():
        theirs = frozenset(keys.filter(owner=standing)["record_key"])
        named = frozenset(single.filter(owner=standing).select(pair).rows()) | {(RECORD, k) for k in theirs}
        person = Person(standing, family, theirs, named, values.filter(owner=standing).height)
        found.append(_joined(person, kept[standing]) if standing in kept else person)
    return found


def _family(installation: Installation, golden_id: str, kept: Mapping[str, Person]) -> tuple[str, frozenset[str]]:
    for person in kept.values():
        if golden_id in person.golden_ids:
            return person.golden_id, person.golden_ids
    return survivor(installation.lake, golden_id)


def _joined(person: Person, kept: Person) -> Person:
    """What is found of a customer, and what was known when the erasure began."""
    return replace(together([person, kept]), shared=max(person.shared, kept.shared))


def _owned(pairs: Iterable[tuple[str, str]]) -> pl.DataFrame:
    schema = {"record_key": pl.String, "owner": pl.String}
    return pl.DataFrame([(key, owner) for owner, key in pairs], schema=schema, orient="row")


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


def _bronze_identifiers(installation: Installation, own: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """owner, scheme and value as the sources wrote them: what a second sending will be compared with."""
    known = known_contracts(installation)
    for (source,), records in own.group_by("source"):
        contract = known.get(str(source))
        if contract is None or not installation.lake.exists(contract.bronze):
            continue
        places = records.select(_package_id="package_id", _row_id="row_id", _owner="owner").unique().lazy()
        scan = installation.lake.scan(contract.bronze)
        rows = scan.join(places, on=["_package_id", "_row_id"]).collect()
        for scheme, values in identifiers(contract, rows):
            if scheme != RECORD:
                found = pl.DataFrame({"owner": rows["_owner"], "value": values})
                yield found.drop_nulls().select("owner", pl.lit(scheme).alias("scheme"), "value")
