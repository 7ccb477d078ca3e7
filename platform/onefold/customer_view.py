"""A customer with everything known, now or as of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from onefold.standing_permissions import with_wishes
from onefold_storage.as_of import as_of
from onefold_storage.household import household_of
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import (
    CASES,
    CONSENTS,
    CONTACT_RECORDS,
    CUSTOMERS,
    DOCUMENTS,
    HISTORY,
    INTERACTIONS,
    LINKS,
    OFFERS,
    OVERRIDES,
    PERMISSIONS,
    SCORES,
    SEGMENTS,
    TRAITS,
)
from onefold_storage.survivors import survivor
from onefold_storage.wish_consents import consents_of

_COMPUTED = {"scores": SCORES, "offers": OFFERS, "traits": TRAITS, "segments": SEGMENTS}


@dataclass(frozen=True)
class CustomerView:
    """One customer. `golden_id` is the one that answers, `asked` the one that was asked for.

    `profile`: the golden record by column. `records`: contact records. `permissions`: by data use and channel, closed
    where a wish in the ledger forbids (`live`). As of a moment, profile and permissions are worked out from the
    records, consents and wishes of then; `scores`, `offers`, `traits` and `segments` are those whose cut-off is not
    after it. `history`: merges and splits.
    `household`: its `household_id` and `members` (golden IDs); None for who lives with nobody known.
    """

    golden_id: str
    asked: str
    profile: dict[str, Any]
    records: pl.DataFrame
    interactions: pl.DataFrame
    cases: pl.DataFrame
    documents: pl.DataFrame
    permissions: pl.DataFrame
    scores: pl.DataFrame
    offers: pl.DataFrame
    traits: pl.DataFrame
    segments: pl.DataFrame
    history: pl.DataFrame
    household: dict[str, Any] | None


def customer_view(installation: Installation, golden_id: str, at: datetime | None = None) -> CustomerView:
    """Everything known of a customer.

    Raises:
        NotFound: no customer has, or had by then, this golden ID.
    """
    lake = installation.lake
    standing, family = survivor(lake, golden_id, at)
    links = as_of(LINKS.name, lake.scan(LINKS.name), at).filter(pl.col("golden_id") == standing)
    keys = links.select("record_key").collect()["record_key"]
    own = pl.col("record_key").is_in(keys.implode())
    records = as_of(CONTACT_RECORDS.name, lake.scan(CONTACT_RECORDS.name).filter(own), at).collect()
    records = records.with_columns(golden_id=pl.lit(standing)).sort("record_key")
    owned = {t.name: _owned(lake, t.name, keys, at) for t in (INTERACTIONS, CASES, DOCUMENTS)}
    computed = {n: _computed(lake, t.name, standing, at) for n, t in _COMPUTED.items()}
    ours = pl.col("golden_id").is_in(sorted(family)) | pl.col("other_id").is_in(sorted(family))
    history = as_of(HISTORY.name, lake.scan(HISTORY.name), at).filter(ours).sort("happened_at").collect()
    if at is None:
        profiles = lake.scan(CUSTOMERS.name).filter(pl.col("golden_id") == standing).collect().to_dicts()
        allowed = lake.scan(PERMISSIONS.name).filter(pl.col("golden_id") == standing).collect()
    else:
        profiles, allowed = _then(installation, records, owned[INTERACTIONS.name], at)
    wishes = installation.ledger.wishes.standing(at)
    allowed = with_wishes(allowed, records, family, wishes, installation.keyed_hash)
    return CustomerView(
        golden_id=standing,
        asked=golden_id,
        profile=profiles[0] if profiles else {},
        records=records,
        interactions=owned[INTERACTIONS.name],
        cases=owned[CASES.name],
        documents=owned[DOCUMENTS.name],
        permissions=allowed.sort("data_use", "channel"),
        history=history,
        household=household_of(lake, standing, at),
        **computed,
    )


def _owned(lake: Lake, name: str, keys: pl.Series, at: datetime | None) -> pl.DataFrame:
    """Rows that belong to the contact records, the oldest first; a later version may name another one, or none."""
    theirs = pl.col("contact_key").is_in(keys.implode())
    rows = lake.scan(name)
    named = rows.filter(theirs).select("record_key").unique()
    held = as_of(name, rows.join(named, on="record_key", how="semi"), at).filter(theirs)
    return held.sort("effective_at", "record_key").collect()


def _computed(lake: Lake, name: str, golden_id: str, at: datetime | None) -> pl.DataFrame:
    rows = lake.scan(name).filter(pl.col("golden_id") == golden_id)
    return (rows if at is None else rows.filter(pl.col("as_of") <= at)).collect()


def _then(
    installation: Installation, records: pl.DataFrame, interactions: pl.DataFrame, at: datetime
) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Golden record and permissions as the workspace's rules make them of what was known then."""
    from onefold_workers.data_uses import DataUses
    from onefold_workers.permissions import permissions
    from onefold_workers.profiles import golden_records
    from onefold_workers.stages.profiling import purposes_of, survivorship_of, undated_of

    workspace = installation.workspace
    seen = interactions.select(
        pl.col("effective_at").min().alias("first_seen"), last_seen=pl.col("effective_at").max()
    )
    seen = seen.with_columns(golden_id=pl.lit(records["golden_id"].first(), pl.String))
    landed = installation.lake.scan(CONSENTS.name).filter(pl.col("effective_at") <= at).collect()
    expressed = consents_of(installation.ledger.wishes, records, installation.keyed_hash, at)
    consents = pl.concat([landed, expressed], how="diagonal")
    uses = DataUses.of(workspace.yaml("data_uses"), str(workspace.folder / "data_uses.yaml"))
    contracts = workspace.contracts()
    said = as_of(OVERRIDES.name, installation.lake.scan(OVERRIDES.name), at).collect()
    profiles = golden_records(records, survivorship_of(workspace, contracts), seen, said)
    allowed = permissions(consents, records, uses, purposes_of(contracts), undated_of(contracts))
    return profiles.to_dicts(), allowed
